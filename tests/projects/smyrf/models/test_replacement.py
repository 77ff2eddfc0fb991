"""The methods of table `drop_in`: their budgets, what they run, and that the model is as it was afterwards."""

import copy
from typing import get_args

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from projects.smyrf.config import NONCAUSAL, Method, Replacement
from projects.smyrf.models.replacement import OPTIONS, Sizes, replaced, setting
from regard import functional
from regard.mechanisms.performer import orthogonal_projection
from regard.registry import mechanism_class
from tests.projects.smyrf import tiny_checkpoints as tiny

METHODS = get_args(Method)
IDS = 5 + torch.arange(32)[None] * 7 % 10
SIZES = Sizes(257, 64, "noncausal_self")


@pytest.mark.parametrize("method", OPTIONS)
@pytest.mark.parametrize("share", [0.5, 0.25])
def test_the_largest_size_within_the_budget(method, share):
    chosen = setting(method, share, SIZES)
    assert chosen.operations <= share
    # The next size takes too much: no method is left with a much smaller budget than the others.
    assert chosen.operations > 0.93 * share
    assert 0 < chosen.score_memory <= share + 0.01


def test_budgets_by_hand():
    # A window of w keys on each side: (2 w + 1) of 257 keys. Performer: 2 n f (2 d + 1) of 2 n² d products.
    assert setting("local", 0.5, SIZES).options == {"window": 63}
    assert setting("performer", 0.5, SIZES).options == {"features": 63}
    # Two rounds of clusters of c, and a product per round for each query and key: 4 c d + 4 d of 257 · 2 d.
    assert setting("smyrf", 0.5, SIZES).options == {"rounds": 2, "cluster_size": 63}
    # Reformer hashes by as many buckets as there are clusters, here 6, three products each time: 4 c d + 12 d of 257 · 2 d.
    assert setting("reformer", 0.5, SIZES).options == {
        "rounds": 2,
        "cluster_size": 61,
        "scheme": "reformer",
        "buckets": 6,
    }
    assert setting("scatterbrain", 0.5, Sizes(1024, 64, "causal_self")).options == {"window": 254, "features": 127}


def test_operations_are_those_that_torch_counts():
    n, d = 64, 16
    options = setting("performer", 0.5, Sizes(n, d, "noncausal_self")).options
    q, k, v = torch.randn(3, 1, 1, n, d)
    projection = orthogonal_projection(features=options["features"], width=d, heads=1)
    with FlopCounterMode(display=False) as counter:
        functional.performer(q, k, v, projection=projection)
    dense = 4 * n * n * d
    # The sum of a query's weights is one product more in the formula, and no matrix product to torch.
    operations = setting("performer", 0.5, Sizes(n, d, "noncausal_self")).operations
    assert operations * dense == pytest.approx(counter.get_total_flops(), rel=1 / d)


def test_a_budget_that_is_too_small_says_what_is_needed():
    with pytest.raises(ValueError, match=r"smyrf takes \d+% of dense attention's operations at least, with 8 tokens"):
        setting("smyrf", 0.01, Sizes(8, 4, "noncausal_self"))


def test_the_noncausal_methods_are_those_whose_mechanism_is():
    unable = {
        method for method in OPTIONS if method in METHODS and "causal_self" not in mechanism_class_of(method).patterns
    }
    assert unable == set(NONCAUSAL)


def mechanism_class_of(method):
    return mechanism_class("smyrf" if method in ("smyrf_once", "reformer", "random") else method)


@pytest.fixture
def bert(tmp_path):
    from transformers import BertModel

    return BertModel.from_pretrained(tiny.bert(tmp_path / "bert")).eval()


@pytest.mark.parametrize("method", METHODS)
def test_a_model_runs_the_method_and_is_itself_again(method, bert):
    with torch.inference_mode():
        before = bert(IDS).last_hidden_state
        share = 1.0 if method in ("softmax", "even") else 0.5
        with replaced(bert, Replacement(method, share), Sizes(32, 8, "noncausal_self"), seed=0):
            within = bert(IDS).last_hidden_state
        after = bert(IDS).last_hidden_state
    torch.testing.assert_close(after, before, rtol=0, atol=0)
    assert (method == "softmax") == torch.allclose(within, before, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
def test_even_weights_are_those_of_queries_that_are_all_zero(causal, bert):
    model = tiny.llama() if causal else bert
    zeroed = copy.deepcopy(model)
    for name, parameter in zeroed.named_parameters():
        if "query" in name or "q_proj" in name:
            torch.nn.init.zeros_(parameter)
    with torch.inference_mode(), replaced(model, Replacement("even", 1.0), SIZES, seed=0):
        torch.testing.assert_close(model(IDS)[0], zeroed(IDS)[0], rtol=1e-4, atol=1e-5)


def test_even_weights_refuse_padding(bert):
    padded = torch.ones_like(IDS)
    padded[0, -3:] = 0
    with (
        replaced(bert, Replacement("even", 1.0), SIZES, seed=0),
        pytest.raises(ValueError, match="without padding"),
    ):
        bert(IDS, attention_mask=padded)

"""Where merging weights is exact: by algebra, by hand, and in a trained model."""

import copy

import pytest
import torch

from projects.better_attention.analyses.weight_merging import merged, merged_model, merging_error
from projects.better_attention.config import PROJECT
from projects.better_attention.tasks.classification import train_encoder
from regard.registry import build
from tests.configs import configs_of

MERGED = ("optimised", "efficient", "super")

config_of = configs_of(PROJECT, default="experiment=imdb")


@pytest.mark.parametrize("attention", MERGED)
def test_merging_is_exact_with_one_head_and_not_with_more(attention):
    sizes = {"width": 12, "length": 7, "seed": 0}
    assert merging_error(attention, heads=1, **sizes) < 1e-12
    assert merging_error(attention, heads=3, **sizes) > 0.1
    assert merging_error("softmax", heads=3, **sizes) == 0


def test_merging_by_hand():
    """Width 1: softmax((2x + 1)(3x)) (5x + 7) 11 + 13 is softmax((6x + 3) x) 55x + 77 + 13."""
    standard = build("softmax", width=1, heads=1).double()
    values = {"query": (2, 1), "key": (3, 17), "value": (5, 7), "output": (11, 13)}
    state = {f"{name}.weight": torch.tensor([[float(w)]]) for name, (w, _) in values.items()}
    standard.load_state_dict(state | {f"{name}.bias": torch.tensor([float(b)]) for name, (_, b) in values.items()})
    merged_parameters = {
        name: float(value.detach()) for name, value in merged(standard, "efficient", 2).named_parameters()
    }
    assert merged_parameters == {"query.weight": 6, "query.bias": 3, "output.weight": 55, "output.bias": 90}


@pytest.mark.parametrize("attention", MERGED)
def test_a_trained_model_of_one_head_is_merged_without_loss(texts_of_many_lengths, tmp_path, attention):
    config = config_of("model.heads=1", "training.epochs=2", "training.batch_size=8", "training.learning_rate=0.01")
    trained, parts = train_encoder(config, tmp_path)
    model, tokens = trained.model.double().eval(), parts["test"][0]
    expected = model(tokens)
    assert float(expected.detach().std()) > 0.01
    torch.testing.assert_close(merged_model(model, attention).eval()(tokens), expected, rtol=0, atol=1e-9)
    several = copy.deepcopy(model)
    several.blocks[0].attention.heads = 4  # the same maps read as those of four heads
    difference = merged_model(several, attention).eval()(tokens) - several(tokens)
    assert float(difference.detach().abs().max()) > 1e-4

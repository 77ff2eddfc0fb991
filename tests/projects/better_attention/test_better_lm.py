"""The language model: rotary positions, step by step equal to all at once, what the state keeps, windows, and a cell on a made-up text."""

import math
from pathlib import Path

import pytest
import torch

from projects.better_attention import lm
from projects.better_attention.check import check
from projects.better_attention.config import FOUR, PROJECT
from projects.better_attention.lm import LanguageModel, cache_bytes_a_token, windows
from projects.better_attention.rotary import rotary_layer, state_bytes, turned
from regard.mechanisms.softmax import naive_softmax
from regard_lab.data.texts import Texts
from tests.configs import configs_of

ROOT = Path(__file__).resolve().parents[3]
TINY = [
    "data.vocabulary=262",
    "data.length=12",
    "model.width=16",
    "model.heads=2",
    "model.blocks=2",
    "model.hidden=[24]",
]


config_of = configs_of(PROJECT, default="table=lm")


def model_of(attention: str, *overrides: str) -> LanguageModel:
    torch.manual_seed(0)
    model = LanguageModel(config_of(*TINY, f"model.attention={attention}", *overrides)).double().eval()
    for p in model.parameters():  # as it begins, attention says next to nothing
        p.data.mul_(8)
    return model


def test_a_turn_by_hand():
    x = torch.tensor([[[[1.0, 0.0], [1.0, 0.0]]]])  # one pair of coordinates: the angle is the position
    found = turned(x, 0, 10_000.0)[0, 0]
    assert torch.allclose(found, torch.tensor([[1.0, 0.0], [math.cos(1), math.sin(1)]]))
    four = turned(torch.tensor([[[[0.0, 1.0, 0.0, 0.0]]]]), 3, 100.0)[0, 0, 0]  # the second pair turns by 3 / 100^(1/2)
    assert torch.allclose(four, torch.tensor([0.0, math.cos(0.3), 0.0, math.sin(0.3)]))


def test_turned_products_depend_on_the_distance_alone():
    q, k = torch.randn(2, 1, 1, 1, 8, dtype=torch.float64)
    near = turned(q, 7, 10_000.0) @ turned(k, 4, 10_000.0).mT
    far = turned(q, 107, 10_000.0) @ turned(k, 104, 10_000.0).mT
    assert torch.allclose(near, far, atol=1e-5)
    assert not torch.allclose(near, turned(q, 8, 10_000.0) @ turned(k, 4, 10_000.0).mT, atol=1e-3)


@pytest.mark.parametrize("attention", FOUR)
@pytest.mark.parametrize("bias", [False, True])
def test_the_layer_turns_queries_and_keys_and_not_values(attention, bias):
    """Against the mechanism's plain reference on turned heads."""
    torch.manual_seed(0)
    layer = rotary_layer(attention, width=8, heads=2, length=9, base=100.0, bias=bias).double()
    x = torch.randn(3, 7, 8, dtype=torch.float64)

    def heads(name: str) -> torch.Tensor:
        mapped = getattr(layer, name)(x) if hasattr(layer, name) else x
        return mapped.view(3, 7, 2, 4).transpose(1, 2)

    q, k, v = heads("query"), heads("key"), heads("value")
    if attention == "super":
        with torch.no_grad():
            v = layer.mixing.weight[:7, :7].tril() @ v
            v = v + layer.mixing.bias[:7, None] if bias else v
    out = naive_softmax(turned(q, 0, 100.0), turned(k, 0, 100.0), v, causal=True)
    assert torch.allclose(layer(x), layer.output(out.transpose(1, 2).flatten(2)))


@pytest.mark.parametrize("attention", FOUR)
@pytest.mark.parametrize("bias", ["false", "true"])
def test_steps_give_the_rows_of_the_whole(attention, bias):
    model = model_of(attention, f"lm.bias={bias}")
    subwords = torch.randint(0, 262, (2, 12), generator=torch.Generator().manual_seed(1))
    state, rows = None, []
    for t in range(12):
        row, state = model.step(subwords[:, t : t + 1], state)
        rows.append(row)
    whole = model(subwords)
    assert torch.allclose(torch.cat(rows, 1), whole)
    assert not torch.allclose(
        whole[:, -1], model(torch.cat([subwords[:, :1], subwords[:, :1], subwords[:, 2:]], 1))[:, -1]
    )


def test_super_says_where_it_ends():
    layer = rotary_layer("super", width=8, heads=2, length=2, base=100.0, bias=False)
    _, state = layer.step(torch.randn(1, 1, 8))
    _, state = layer.step(torch.randn(1, 1, 8), state)
    with pytest.raises(ValueError, match="of length 2 cannot take a token 3"):
        layer.step(torch.randn(1, 1, 8), state)


@pytest.mark.parametrize("attention", FOUR)
def test_the_future_changes_nothing(attention):
    model = model_of(attention)
    subwords = torch.arange(12)[None]
    changed = subwords.clone()
    changed[:, 7:] = 99
    before, after = model(subwords), model(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:])


def test_a_model_whose_mixing_is_the_identity_begins_as_efficient():
    config = config_of(*TINY, "model.attention=super_identity")
    mixed, efficient = LanguageModel(config).eval(), LanguageModel(config_of(*TINY, "model.attention=efficient")).eval()
    kept = {key: value for key, value in mixed.state_dict().items() if ".mixing." not in key}
    assert len(mixed.state_dict()) == len(kept) + 2  # a W^A in each block, without biases
    efficient.load_state_dict(kept)
    subwords = torch.arange(12)[None]
    torch.testing.assert_close(mixed(subwords), efficient(subwords), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("attention", "numbers"), [("softmax", 32), ("optimised", 32), ("efficient", 16), ("super", 32)]
)
def test_what_the_state_keeps_of_a_token(attention, numbers):
    """w = 16: two tensors of w numbers, or one; two blocks of float64."""
    assert cache_bytes_a_token(model_of(attention), torch.arange(12)) == 2 * 8 * numbers


def test_a_storage_counts_once():
    x = torch.zeros(4, 6)
    assert state_bytes((x, (x[:2], x.T))) == 96
    assert state_bytes((x, x.clone())) == 192


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    text = "It is a truth universally acknowledged, that a man must be in want of a wife. " * 40
    splits = {
        split: Texts.of([(text, 0), (text, 1)][: 2 if split == "train" else 1])
        for split in ("train", "validation", "test")
    }
    monkeypatch.setattr(lm.data, "load", lambda name, root, source: splits)
    monkeypatch.chdir(tmp_path)
    lm._windows.cache_clear()
    yield
    lm._windows.cache_clear()


def test_windows_follow_each_other_and_share_one_subword(made_up):
    found = windows(config_of(*TINY).data, Path.cwd())["test"]
    assert found.shape[1] == 13
    assert torch.equal(found[:-1, -1], found[1:, 0])
    with pytest.raises(ValueError, match=r"subwords, a window needs 100000 \+ 1"):
        windows(config_of(*TINY, "data.length=100000").data, Path.cwd())


@pytest.mark.parametrize("attention", ["efficient", "super"])
def test_a_cell_learns_and_repeats_itself(made_up, tmp_path, attention):
    config = config_of(
        *TINY, f"model.attention={attention}", "budget.epochs=2", "training.batch_size=8", "lm.held_out=16"
    )
    first = lm.train(config, tmp_path / "first")
    assert first.metrics["test_perplexity"] == pytest.approx(math.exp(first.metrics["test_loss"]))
    assert first.metrics["test_perplexity"] < 100  # of 262
    assert first.metrics["cache_bytes"] == 2 * 4 * (16 if attention == "efficient" else 32)
    again = lm.train(config, tmp_path / "again")
    assert first.metrics["latency_ms"] > 0
    untimed = first.metrics.keys() - {"seconds_per_epoch", "latency_ms"}
    assert {name: first.metrics[name] for name in untimed} == {name: again.metrics[name] for name in untimed}


def test_the_published_setting_of_the_language_model_runs_a_step(made_up, tmp_path):
    """`paper` scale as it is but for depth, context and width: GPT-2's size would take minutes here. The whole is built without memory."""
    check(config_of("scale=paper", "model.attention=super"))
    cut = [
        "model.blocks=1",
        "data.length=32",
        "model.width=96",
        "budget.epochs=1",
        "budget.train_examples=4",
        "lm.held_out=2",
    ]
    config = config_of("scale=paper", "model.attention=super", *cut)
    assert (config.data.name, config.data.source) == ("openwebtext", "hub")
    assert all(math.isfinite(value) for value in lm.train(config, tmp_path).metrics.values())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.vocabulary=200", "data.vocabulary must be at least 259"),
        ("data.length=0", "data.length must be at least 1, got 0"),
        ("model.width=34", "an even head width, got 34 / 2"),
        ("lm.rotary_base=1", "lm.rotary_base must be above 1, got 1"),
        ("lm.held_out=0", "lm.held_out must be at least 1, got 0"),
        ("model.activation=relu", "got 'pre' and 'relu'"),
        ("model.dropout=1", "model.dropout must be at least 0 and below 1, got 1"),
        ("budget.epochs=0", "budget.epochs must be at least 1, got 0"),
        ("training.learning_rate=0", "learning_rate must be positive"),
    ],
)
def test_a_language_model_that_cannot_be_is_refused_with_the_numbers(override, message):
    with pytest.raises(ValueError, match=message):
        check(config_of(override))

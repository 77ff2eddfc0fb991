"""The tasks on small made-up data of the right shapes: windows and words by hand, what is under test, and cells from data to metrics."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from projects.cab import lm, lstf, tasks, translation
from projects.cab.config import NONE, Attention
from projects.cab.slots import Slots, positions
from regard.common.patterns import ALL_PATTERNS
from regard_lab.common.errors import DataMissing
from tests.projects.cab.cab_data import (
    config_of,
    made_up,  # noqa: F401
)


def test_windows_of_a_series_by_hand():
    task = SimpleNamespace(length=2, horizon=1)
    known, clock, coming, target = lstf.cut(np.arange(5.0)[:, None], np.arange(5.0)[:, None] / 10, task, None)
    assert known[..., 0].tolist() == [[0, 1], [1, 2], [2, 3]]
    assert target[..., 0].tolist() == [[2], [3], [4]]
    assert torch.equal(clock * 10, known)
    assert torch.equal(coming * 10, target)
    with pytest.raises(ValueError, match=r"a split of 2 steps has no window of 2 \+ 1"):
        lstf.cut(np.zeros((2, 1)), np.zeros((2, 1)), task, None)


def test_the_clock_by_hand():
    six, day = 6 * 3600, 86_400
    clock = lstf.clock_of(np.array([0, six, 7 * day + six]))
    assert clock[0] == pytest.approx([0, 0, 1, 1])  # sine of day and week, cosine of day and week
    assert clock[1][[0, 2]] == pytest.approx([1, 0])
    assert clock[2] == pytest.approx(clock[1])


def test_windows_of_a_text_by_hand():
    (windows,) = lm.cut(torch.arange(8), 3, None)
    assert windows.tolist() == [[0, 1, 2, 3], [3, 4, 5, 6]]  # each character is predicted once
    with pytest.raises(ValueError, match="no window of 8"):
        lm.cut(torch.arange(8), 8, None)


def test_the_loss_of_a_language_model_is_of_the_next_character():
    window = torch.tensor([[1, 2, 0, 2]], dtype=torch.uint8)
    logits = 100 * torch.nn.functional.one_hot(torch.tensor([[2, 0, 2]]), 3).float()  # sure, and right
    assert float(lm.score(lambda characters: logits, (window,))["loss"]) == pytest.approx(0, abs=1e-6)


def test_words_by_hand():
    assert translation.words_of("Save, or Don't?") == ["save", ",", "or", "don", "'", "t", "?"]
    words = translation.vocabulary_of([["b", "a"], ["b", "c"]], size=6)
    assert words == {"b": 4, "a": 5}
    numbers = translation.numbered([["a", "z"], []], words, 4, ends=True)
    assert numbers.tolist() == [
        [translation.BEGIN, 5, translation.UNKNOWN, translation.END],
        [translation.BEGIN, translation.END, translation.PADDING, translation.PADDING],
    ]
    assert translation.fits((["a"], ["b"] * 2), 4)
    assert not translation.fits((["a"], ["b"] * 3), 4)


def test_the_loss_of_a_translation_leaves_padding_out():
    logits = torch.zeros(1, 3, 5)
    logits[0, 0, 4] = 100.0  # sure of the first word, knows nothing of the second
    scores = translation.score(lambda source, target: logits, (torch.tensor([[4]]), torch.tensor([[2, 4, 3, 0]])))
    assert float(scores["nats"]) == pytest.approx(math.log(5))
    assert float(scores["loss"]) == pytest.approx(math.log(5) / 2)
    assert (float(scores["words"]), float(scores["right"])) == (2, 1)


def test_positions_by_hand():
    table = positions(3, 4)
    expected = [[0, 1, 0, 1], [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]]
    assert torch.allclose(table[:2], torch.tensor(expected), atol=1e-6)


def test_only_the_pattern_under_test_holds_the_mechanism():
    slots = Slots(Attention("abc", "", {"slots": 3}), "causal_cross", width=8, heads=2, length=5)
    kinds = [slots.layer(pattern).name for pattern in ALL_PATTERNS]
    assert kinds == ["softmax", "softmax", "softmax", "abc"]
    assert slots.tested[0].slots == 3
    assert slots.parameters() == sum(p.numel() for p in slots.tested[0].parameters())


def test_a_mechanism_of_fixed_length_is_given_the_longest():
    slots = Slots(Attention("super", "", {}), "causal_self", width=8, heads=2, length=7)
    assert slots.layer("causal_self").length == 7


def test_none_adds_nothing_and_lets_the_past_go():
    layer = Slots(Attention(NONE, "", {}), "causal_self", width=8, heads=2, length=5).layer("causal_self")
    assert torch.equal(layer(torch.ones(2, 3, 8)), torch.zeros(2, 3, 8))
    task = config_of("table=lm").lm
    torch.manual_seed(0)
    model = lm.Decoder(task, Attention(NONE, "", {}), "causal_self", 10).eval()
    characters = torch.tensor([[1, 2, 3], [4, 5, 3]])
    torch.testing.assert_close(*model(characters)[:, 2])  # the same last character: the same guess, to rounding


@pytest.mark.parametrize("attention", ["softmax", "performer"])
def test_no_model_sees_the_future(attention):
    tested = Attention(attention, "", {})
    torch.manual_seed(0)
    model = lm.Decoder(config_of("table=lm").lm, tested, "causal_self", 10).eval()
    before, after = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[1, 2, 9, 9]])
    assert torch.allclose(model(before)[:, :2], model(after)[:, :2], atol=1e-5)
    translator = translation.Translator(config_of("table=translation").translation, tested, "causal_cross").eval()
    source = torch.tensor([[5, 6, 0]])
    a, b = (translator(source, torch.tensor([target])) for target in ([2, 5, 6], [2, 5, 9]))
    assert torch.allclose(a[:, :2], b[:, :2], atol=1e-5)
    other = translator(torch.tensor([[5, 7, 0]]), torch.tensor([[2, 5, 6]]))
    assert not torch.allclose(a, other, atol=1e-4)  # but it does see the source


def test_what_follows_a_sources_end_is_not_seen():
    torch.manual_seed(0)
    task = config_of("table=translation").translation
    model = translation.Translator(task, Attention("abc", "", {}), "causal_cross").eval()
    target = torch.tensor([[2, 5, 6]])
    assert torch.allclose(model(torch.tensor([[5, 6]]), target), model(torch.tensor([[5, 6, 0, 0]]), target), atol=1e-5)


def test_the_forecast_has_the_horizons_shape_and_halves_between_layers():
    task = config_of("table=lstf_self", "lstf.encoder_layers=3").lstf
    model = lstf.Forecaster(task, Attention("local", "", {}), "noncausal_self", 5).eval()
    lengths = []
    for block in model.encoder:
        block.register_forward_hook(lambda module, given, out: lengths.append(out.shape[1]))
    out = model(torch.randn(2, 48, 5), torch.randn(2, 48, 4), torch.randn(2, 24, 4))
    assert out.shape == (2, 24, 5)
    assert lengths == [48, 24, 12]
    assert [type(block.attention).__name__ for block in model.encoder] == ["LocalAttention"] * 3
    assert [block.cross.name for block in model.decoder] == ["softmax"]


@pytest.mark.parametrize(
    ("table", "attention"), [("lstf_self", "lara"), ("lstf_cross", "smyrf"), ("lm", "abc"), ("translation", "abc")]
)
def test_a_cell_from_data_to_metrics(made_up, tmp_path, table, attention):  # noqa: F811
    spec = table_metrics(table)
    measured = tasks.train(config_of(f"table={table}", f"attention.name={attention}", *made_up), tmp_path)
    assert set(measured.metrics) == spec
    assert all(math.isfinite(value) for value in measured.metrics.values())
    again = tasks.train(config_of(f"table={table}", f"attention.name={attention}", *made_up), tmp_path)
    assert again.metrics == measured.metrics  # out of the artefact, its seconds too


def table_metrics(table: str) -> set[str]:
    from projects.cab.config import PROJECT
    from regard_lab.experiment.composition import compose
    from tests.projects.cab.cab_data import ROOT

    return set(compose(PROJECT, ROOT, [f"table={table}", "scale=quick"]).spec.metrics)


def test_the_index_by_hand_and_the_gain_over_none(made_up, tmp_path):  # noqa: F811
    config = config_of("table=index", "pattern=causal_self", "attention.name=local", *made_up)
    config.constants = {"perplexity": {"mean": 10.0, "sd": 2.0}}
    own, none = (tasks.task_metrics(config, name)["perplexity"] for name in (None, NONE))
    measured = tasks.index(config, tmp_path).metrics
    assert measured["index"] == pytest.approx((10 - own) / 2)
    assert measured["over_none"] == pytest.approx((none - own) / 2)
    softmax = tasks.task_metrics(config, "softmax")["perplexity"]
    assert tasks.benefit(config, tmp_path).metrics["benefit"] == pytest.approx((none - softmax) / 2)
    config.constants = None
    with pytest.raises(
        DataMissing, match=r"no constants are frozen for causal_self at scale quick: run the tables .*freeze"
    ):
        tasks.index(config, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["lstf_self", "lm", "translation"])
def test_the_published_sizes_run_a_step(made_up, tmp_path, table):  # noqa: F811
    """`paper` scale with lengths, batches, layers and epochs cut: the widths and heads are the published ones."""
    cut = {
        "lstf_self": ["lstf.length=24", "lstf.label_length=12", "lstf.horizon=12", "lstf.sets=[appliances]"],
        "lm": ["lm.context=32", "lm.layers=2"],
        "translation": [
            "translation.length=8",
            "translation.vocabulary=40",
            "translation.encoder_layers=2",
            "translation.decoder_layers=2",
        ],
    }[table]
    section = table.partition("_")[0]
    few = [
        f"{section}.fitting.{name}" for name in ("epochs=1", "train_examples=4", "held_out_examples=4", "batch_size=2")
    ]
    config = config_of(f"table={table}", "scale=paper", *cut, *few)
    assert getattr(config, section).width in (512, 768)
    assert all(math.isfinite(value) for value in tasks.train(config, tmp_path).metrics.values())

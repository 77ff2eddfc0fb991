"""The models: what is under test in them, what they may see, and positions by hand."""

import math

import pytest
import torch

from projects.cab.config import NONE, Attention
from projects.cab.models.blocks import positions
from projects.cab.models.forecaster import Forecaster
from projects.cab.models.language_model import LanguageModel
from projects.cab.models.layer_under_test import ROTARY_BASE, AttentionLayers
from projects.cab.models.translator import Translator
from regard.common.patterns import ALL_PATTERNS
from regard.mechanisms.softmax import naive_softmax
from regard_lab.common.rotary import rotated
from tests.projects.cab.cab_data import config_of


def test_positions_by_hand():
    table = positions(3, 4)
    expected = [[0, 1, 0, 1], [math.sin(1), math.cos(1), math.sin(0.01), math.cos(0.01)]]
    assert torch.allclose(table[:2], torch.tensor(expected), atol=1e-6)


def test_only_the_pattern_under_test_holds_the_mechanism():
    layers = AttentionLayers(Attention("abc", "", {"slots": 3}), "causal_cross", width=8, heads=2, length=5)
    kinds = [layers.layer(pattern).name for pattern in ALL_PATTERNS]
    assert kinds == ["softmax", "softmax", "softmax", "abc"]
    assert layers.tested[0].slots == 3
    assert layers.parameter_count() == sum(p.numel() for p in layers.tested[0].parameters())


def test_a_mechanism_of_fixed_length_is_given_the_longest():
    layers = AttentionLayers(Attention("super", "", {}), "causal_self", width=8, heads=2, length=7)
    assert layers.layer("causal_self").length == 7


def test_relative_positions_turn_queries_and_keys_of_every_mechanism_that_has_them():
    """Its own relative positions where a mechanism has some; where sines are compared, those are off."""

    def layer(name: str, relative: bool | None, **options: int) -> torch.nn.Module:
        attention = Attention(name, "", options)
        return AttentionLayers(
            attention,
            "causal_self",
            width=8,
            heads=2,
            length=7,
            options={"longshort": {"window": 4}},
            relative=relative,
        ).layer("causal_self")

    x = torch.randn(1, 7, 8).double()
    plain, turned = (layer("softmax", relative).double() for relative in (False, True))
    turned.load_state_dict(plain.state_dict())
    q, k, v = (part(x).view(1, 7, 2, 4).transpose(1, 2) for part in (plain.query, plain.key, plain.value))
    mixed = naive_softmax(rotated(q, 0, ROTARY_BASE), rotated(k, 0, ROTARY_BASE), v, causal=True)
    torch.testing.assert_close(turned(x), plain.output(mixed.transpose(1, 2).reshape(1, 7, 8)))
    assert not torch.allclose(turned(x), plain(x), atol=1e-3)
    assert [layer("longshort", relative).positions for relative in (None, False, True)] == [True, False, True]
    assert [layer("longshort", True).window, layer("longshort", True, window=6).window] == [4, 6]
    assert type(layer("s4d", True)) is type(layer("s4d", False))  # it has neither queries nor keys


def test_a_model_has_sines_or_relative_positions_or_both():
    models = {}
    for positions_of in ("absolute", "relative", "both"):
        task = config_of("table=lm", f"lm.positions={positions_of}").lm
        models[positions_of] = LanguageModel(task, Attention("softmax", "", {}), "causal_self", 128)
    assert {name: bool(model.positions.any()) for name, model in models.items()} == {
        "absolute": True,
        "relative": False,
        "both": True,
    }
    kinds = {name: type(model.blocks[0].attention).__name__ for name, model in models.items()}
    assert kinds == {
        "absolute": "SoftmaxAttention",
        "relative": "RotarySoftmaxAttention",
        "both": "RotarySoftmaxAttention",
    }


def test_none_adds_nothing_and_lets_the_past_go():
    layer = AttentionLayers(Attention(NONE, "", {}), "causal_self", width=8, heads=2, length=5).layer("causal_self")
    assert torch.equal(layer(torch.ones(2, 3, 8)), torch.zeros(2, 3, 8))
    task = config_of("table=lm").lm
    torch.manual_seed(0)
    model = LanguageModel(task, Attention(NONE, "", {}), "causal_self", 128).eval()
    subwords = torch.tensor([[1, 2, 3], [4, 5, 3]])
    torch.testing.assert_close(*model(subwords)[:, 2])  # the same last subword: the same guess, to rounding


@pytest.mark.parametrize("attention", ["softmax", "performer"])
def test_no_model_sees_the_future(attention):
    tested = Attention(attention, "", {})
    torch.manual_seed(0)
    model = LanguageModel(config_of("table=lm").lm, tested, "causal_self", 128).eval()
    before, after = torch.tensor([[1, 2, 3, 4]]), torch.tensor([[1, 2, 9, 9]])
    assert torch.allclose(model(before)[:, :2], model(after)[:, :2], atol=1e-5)
    translator = Translator(config_of("table=translation").translation, tested, "causal_cross").eval()
    source = torch.tensor([[5, 6, 0]])
    a, b = (translator(source, torch.tensor([target])) for target in ([2, 5, 6], [2, 5, 9]))
    assert torch.allclose(a[:, :2], b[:, :2], atol=1e-5)
    other = translator(torch.tensor([[5, 7, 0]]), torch.tensor([[2, 5, 6]]))
    assert not torch.allclose(a, other, atol=1e-4)  # but it does see the source


def test_what_follows_a_sources_end_is_not_seen():
    torch.manual_seed(0)
    task = config_of("table=translation").translation
    model = Translator(task, Attention("abc", "", {}), "causal_cross").eval()
    target = torch.tensor([[2, 5, 6]])
    assert torch.allclose(model(torch.tensor([[5, 6]]), target), model(torch.tensor([[5, 6, 0, 0]]), target), atol=1e-5)


def test_the_forecast_has_the_horizons_shape_and_halves_between_layers():
    task = config_of("table=lstf_self", "lstf.encoder_layers=3").lstf
    model = Forecaster(task, Attention("local", "", {}), "noncausal_self", 5).eval()
    lengths = []
    for block in model.encoder:
        block.register_forward_hook(lambda module, given, out: lengths.append(out.shape[1]))
    out = model(torch.randn(2, 48, 5), torch.randn(2, 48, 4), torch.randn(2, 24, 4))
    assert out.shape == (2, 24, 5)
    assert lengths == [48, 24, 12]
    assert [type(block.attention).__name__ for block in model.encoder] == ["LocalAttention"] * 3
    assert [block.cross.name for block in model.decoder] == ["softmax"]

"""The encoder–decoder with each mechanism: masks, causality, the initial W^A, its sizes and parameters."""

import pytest
import torch

from projects.better_attention.config import FOUR, PROJECT
from projects.better_attention.models.layers import attention_parameters
from projects.better_attention.models.translator import Translator
from regard_lab.data.subwords import BEGIN, PADDING
from tests.configs import configs_of

TINY = ["data.vocabulary=260", "data.length=6", "model.width=8", "model.heads=2", "model.hidden=[8]"]

config_of = configs_of(PROJECT, default="table=translation")


def model_of(attention: str, *overrides: str) -> Translator:
    torch.manual_seed(0)
    config = config_of(*TINY, f"model.attention={attention}", *overrides)
    return Translator(config.data, config.model, config.translation).eval()


@pytest.mark.parametrize("attention", FOUR)
def test_padding_and_the_future_change_nothing(attention):
    model = model_of(attention)
    sources = torch.tensor([[5, 6, 7, PADDING, PADDING, PADDING], [5, 6, 7, 8, 9, 4]])
    targets = torch.tensor([[BEGIN, 8, 9, 4], [BEGIN, 4, 5, 6]])
    before = model(sources, targets)
    assert torch.allclose(model(sources[:1, :3], targets[:1]), before[:1], atol=1e-6)
    changed = targets.clone()
    changed[:, 2:] = 11
    after = model(sources, changed)
    assert torch.equal(after[:, :2], before[:, :2])
    assert not torch.allclose(after[:, 3], before[:, 3])
    with torch.no_grad():
        model.embeddings[0].weight[PADDING] = 1e6
    assert torch.allclose(model(sources, targets), before, atol=1e-6)
    assert not torch.allclose(model(sources.flip(1), targets), before)


def test_a_translator_whose_mixing_is_the_identity_begins_as_efficient():
    mixed, efficient = model_of("super_identity"), model_of("efficient")
    kept = {key: value for key, value in mixed.state_dict().items() if ".mixing." not in key}
    assert len(mixed.state_dict()) == len(kept) + 6  # weight and bias in three places
    efficient.load_state_dict(kept)
    sources, targets = torch.tensor([[7, 8, 9, PADDING], [9, 7, 7, 8]]), torch.tensor([[BEGIN, 8, 9], [BEGIN, 9, 7]])
    torch.testing.assert_close(mixed(sources, targets), efficient(sources, targets), rtol=0, atol=1e-5)
    assert not torch.allclose(model_of("super")(sources, targets), efficient(sources, targets), atol=1e-2)


def test_each_place_has_a_matrix_of_its_own_length_and_the_decoders_is_triangular():
    model = model_of("super")
    layers = [model.encoder[0].attention, model.decoder[0].self_attention, model.decoder[0].cross_attention]
    assert [layer.pattern for layer in layers] == ["noncausal_self", "causal_self", "causal_cross"]
    assert [tuple(layer.mixing.weight.shape) for layer in layers] == [(6, 6)] * 3
    sources, targets = torch.tensor([[5, 6, 7, 8, 9, 4]]), torch.tensor([[BEGIN, 4, 5, 6]])
    before = model(sources, targets)
    upper = torch.ones(6, 6).triu(1).bool()
    for layer, counts in zip(layers, (True, False, True), strict=True):
        kept = layer.mixing.weight.detach().clone()
        with torch.no_grad():
            layer.mixing.weight[upper] += 1
        assert (not torch.equal(model(sources, targets), before)) is counts
        with torch.no_grad():
            layer.mixing.weight.copy_(kept)


@pytest.mark.parametrize(
    ("attention", "a_layer"), [("softmax", 288), ("optimised", 216), ("efficient", 144), ("super", 186)]
)
def test_attention_parameters_of_three_layers(attention, a_layer):
    assert attention_parameters(model_of(attention)) == 3 * a_layer  # (w² + w) per map; w = 8, and l² + l with l = 6

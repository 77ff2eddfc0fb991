"""The encoder: padding changes nothing, texts may be short, and what the trap of padding changes."""

import pytest
import torch

from projects.better_attention.config import FOUR, PROJECT
from projects.better_attention.data.labelled import PADDING
from projects.better_attention.models.encoder import Encoder
from projects.better_attention.models.layers import attention_parameters
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="experiment=imdb")


@pytest.mark.parametrize(("attention", "parameters"), list(zip(FOUR, (4224, 3168, 2112, 3168), strict=True)))
def test_the_papers_attention_parameters(attention, parameters):
    config = config_of(f"model.attention={attention}", "scale=laptop")
    assert attention_parameters(Encoder(config.data, config.model)) == parameters


@pytest.mark.parametrize("attention", FOUR)
def test_padding_changes_nothing(attention):
    config = config_of(f"model.attention={attention}", "data.length=6")
    torch.manual_seed(0)
    model = Encoder(config.data, config.model).eval()
    tokens = torch.tensor([[5, 6, 7, PADDING, PADDING, PADDING], [5, 6, 7, 8, 9, 4]])
    before = model(tokens)
    with torch.no_grad():
        model.embedding.weight[PADDING] = 1e6
    assert torch.equal(model(tokens), before)
    alone = model(torch.tensor([[5, 6, 7, PADDING, PADDING, PADDING]]))
    assert torch.allclose(alone[0], before[0], atol=1e-6)
    assert model(torch.full((1, 6), PADDING)).isfinite().all()


def test_a_text_may_be_shorter_than_the_model():
    config = config_of("model.attention=super")
    model = Encoder(config.data, config.model).eval()
    tokens = torch.full((1, 32), PADDING)
    tokens[0, :5] = torch.arange(5, 10)
    torch.testing.assert_close(model(tokens[:, :5]), model(tokens), rtol=0, atol=1e-6)


def test_padding_changes_what_the_trap_says():
    """Whatever its weights, at some threshold: here the logits themselves."""
    for attention, changes in (("super", False), ("super_unmasked", True)):
        config = config_of(f"model.attention={attention}", "data.length=6")
        torch.manual_seed(0)
        model = Encoder(config.data, config.model).eval()
        with torch.no_grad():
            model.embedding.weight.mul_(20)  # away from the flat start
        tokens = torch.zeros(1, 6, dtype=torch.int64)
        tokens[0, :3] = torch.tensor([5, 6, 7])
        with torch.no_grad():
            difference = float((model(tokens) - model(tokens[:, :3])).abs())
        assert (difference > 1e-4) == changes


def test_an_encoder_leaves_the_identity_alone():
    config = config_of("model.attention=super_identity")
    mixing = Encoder(config.data, config.model).blocks[0].attention.mixing
    assert torch.equal(mixing.weight, torch.eye(32))
    config = config_of("model.attention=super")
    assert not torch.equal(Encoder(config.data, config.model).blocks[0].attention.mixing.weight, torch.eye(32))

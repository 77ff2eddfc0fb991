"""The language model: steps equal the whole, the future changes nothing, the initial W^A, and what the state holds."""

import pytest
import torch

from projects.better_attention.config import FOUR, PROJECT
from projects.better_attention.models.language_model import CausalLanguageModel, cache_bytes_per_token
from tests.configs import configs_of

TINY = [
    "data.vocabulary=262",
    "data.length=12",
    "model.width=16",
    "model.heads=2",
    "model.blocks=2",
    "model.hidden=[24]",
]

config_of = configs_of(PROJECT, default="table=lm")


def model_of(attention: str, *overrides: str) -> CausalLanguageModel:
    torch.manual_seed(0)
    config = config_of(*TINY, f"model.attention={attention}", *overrides)
    model = CausalLanguageModel(config.data, config.model, config.language_model).double().eval()
    for p in model.parameters():  # as initialised, attention has next to no effect
        p.data.mul_(8)
    return model


@pytest.mark.parametrize("attention", FOUR)
@pytest.mark.parametrize("bias", ["false", "true"])
def test_steps_give_the_rows_of_the_whole(attention, bias):
    model = model_of(attention, f"language_model.bias={bias}")
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


@pytest.mark.parametrize("attention", FOUR)
def test_the_future_changes_nothing(attention):
    model = model_of(attention)
    subwords = torch.arange(12)[None]
    changed = subwords.clone()
    changed[:, 7:] = 99
    before, after = model(subwords), model(changed)
    assert torch.equal(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:])


def test_a_model_whose_mixing_is_the_identity_starts_out_as_efficient():
    mixed, efficient = (
        CausalLanguageModel(config.data, config.model, config.language_model).eval()
        for config in (config_of(*TINY, f"model.attention={name}") for name in ("super_identity", "efficient"))
    )
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
    assert cache_bytes_per_token(model_of(attention), torch.arange(12)) == 2 * 8 * numbers

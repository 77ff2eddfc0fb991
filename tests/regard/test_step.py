"""Step by step decoding equals the parallel form, for every mechanism that has it."""

from typing import Any

import pytest
import torch

from regard.attention import Attention, Call
from regard.registry import build, mechanism_class
from tests.regard.vectors import draw

STEPPED = [
    ("softmax", {}),
    ("local", {"window": 5}),
    ("local", {"window": 1}),
    ("performer", {"features": 6}),
    ("cosformer", {"horizon": 90}),
    ("scatterbrain", {"window": 5, "features": 6}),
    ("scatterbrain", {"window": 1, "features": 3}),
]


@pytest.mark.parametrize(("name", "options"), STEPPED)
def test_steps_equal_the_parallel_form(name: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    layer = build(name, width=8, heads=2, pattern="causal_self", **options).double().eval()
    x = 3 * draw(3, 70, 8, seed=1)
    state, rows = None, []
    for t in range(70):
        row, state = layer.step(x[:, t : t + 1], state)
        rows.append(row)
    torch.testing.assert_close(torch.cat(rows, 1), layer(x))


@pytest.mark.parametrize(("name", "options"), STEPPED)
def test_a_state_can_be_used_twice(name: str, options: dict[str, Any]) -> None:
    layer = build(name, width=8, heads=2, pattern="causal_self", **options).double().eval()
    x = draw(2, 9, 8, seed=2)
    state = None
    for t in range(8):
        _, state = layer.step(x[:, t : t + 1], state)
    first, _ = layer.step(x[:, 8:], state)
    layer.step(-x[:, 8:], state)
    again, _ = layer.step(x[:, 8:], state)
    assert torch.equal(first, again)


def test_the_state_of_local_attention_stays_as_short_as_its_window() -> None:
    layer = build("local", width=8, heads=2, pattern="causal_self", window=4)
    state = None
    for t in range(10):
        _, state = layer.step(draw(1, 1, 8, seed=t, dtype=torch.float32), state)
    assert state[0].shape == state[1].shape == (1, 2, 4, 4)


def test_half_precision_steps() -> None:
    for name in ("performer", "cosformer"):
        layer = build(name, width=8, heads=2, pattern="causal_self").bfloat16()
        x = draw(1, 1, 8, seed=3).bfloat16()
        row, state = layer.step(x)
        row, state = layer.step(x, state)
        assert row.dtype == torch.bfloat16
        assert state[0].dtype == {"performer": torch.float64, "cosformer": torch.float32}[name]


def test_errors_give_the_numbers() -> None:
    with pytest.raises(ValueError, match="step needs the pattern 'causal_self', this layer has 'noncausal_self'"):
        build("softmax", width=8, heads=2).step(torch.zeros(1, 1, 8))
    with pytest.raises(ValueError, match=r"one token at a time, x \(batch, 1, 8\), got \(1, 2, 8\)"):
        build("softmax", width=8, heads=2, pattern="causal_self").step(torch.zeros(1, 2, 8))
    layer = build("cosformer", width=8, heads=2, pattern="causal_self", horizon=1)
    _, state = layer.step(torch.zeros(1, 1, 8))
    with pytest.raises(ValueError, match="token 2 is beyond the horizon of 1"):
        layer.step(torch.zeros(1, 1, 8), state)

    for name in ("softmax", "abc", "s4d", "cosformer"):
        layer = build(name, width=8, heads=2, pattern="causal_self")
        _, state = layer.step(torch.zeros(3, 1, 8))
        with pytest.raises(ValueError, match="the state is that of 3 sequences, x holds 2"):
            layer.step(torch.zeros(2, 1, 8), state)

    class Stepless(Attention):
        pass

    with pytest.raises(NotImplementedError, match="Stepless has no step-by-step form"):
        Stepless(width=8, heads=2, pattern="causal_self").step(torch.zeros(1, 1, 8))
    assert mechanism_class("nystrom").mix_step is Attention.mix_step


@pytest.mark.parametrize("name", ["softmax", "local", "performer", "cosformer"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("padded", [False, True])
def test_the_last_tokens_alone_are_those_of_the_whole(name: str, dtype: torch.dtype, padded: bool) -> None:
    """What decoding from a cache of keys and values calls, one token at a time and several."""
    cls = mechanism_class(name)
    q, k, v = (draw(2, 3, 40, 8, seed=seed).to(dtype) for seed in range(3))
    mask = torch.ones(2, 40, dtype=torch.bool)
    mask[1, :25] = False
    options = {**(cls.function_options or {}), **({"window": 7} if name == "local" else {})}
    call = Call(options=options, causal=True, key_mask=mask if padded else None, query_mask=mask if padded else None)
    whole = cls.attend(q, k, v, call)
    for n in (1, 5):
        last = cls.attend_last(q[:, :, -n:], k, v, call)
        near = 1e-9 if dtype == torch.float64 else 0.05
        torch.testing.assert_close(last, whole[:, :, -n:], rtol=0, atol=near * float(whole.abs().max()))
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(cls.attend_last(q[:, :, -1:], k, v, call), last[:, :, -1:], rtol=0, atol=0.1)

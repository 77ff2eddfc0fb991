"""Autocast changes no cluster and no gradient's precision; what is drawn from a seed is the same whoever asks first."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from regard.mechanisms.performer.projection import seeded_projection
from regard.mechanisms.smyrf import SmyrfAttention, clustered_attention, smyrf
from regard.mechanisms.smyrf.hashing import seeded_directions
from tests.regard.vectors import draw


@pytest.fixture(params=["kernel", "plain"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "plain":
        monkeypatch.setattr(clustered_attention, "HAS_CPU_KERNEL", False)


def halves(n: int = 512) -> list[Tensor]:
    return [(4 * draw(1, 2, n, 32, seed=seed, dtype=torch.float32)).bfloat16() for seed in range(3)]


def gradients(q: Tensor, k: Tensor, v: Tensor, **options: Any) -> list[Tensor]:
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    smyrf(*leaves, **options).float().square().sum().backward()
    return [leaf.grad for leaf in leaves if leaf.grad is not None]


def test_autocast_changes_nothing(kernel: None) -> None:
    """Half precision inputs are hashed, scored and differentiated as they are outside autocast, to the last bit."""
    options = {"rounds": 2, "cluster_size": 16, "directions": draw(34, 2, seed=9, dtype=torch.float32)}
    q, k, v = halves()
    expected, grads = smyrf(q, k, v, **options), gradients(q, k, v, **options)
    met = SmyrfAttention.collisions(q, k, None, None, **options)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(smyrf(q, k, v, **options), expected)
        assert torch.equal(SmyrfAttention.collisions(q, k, None, None, **options), met)
        inside = gradients(q, k, v, **options)
    assert len(grads) == 3
    for a, b in zip(inside, grads, strict=True):
        assert torch.equal(a, b)
    leaves = [x.clone().requires_grad_() for x in (q, k, v)]
    with torch.autocast("cpu", torch.bfloat16):  # forward inside, backward outside: as mixed-precision training has it
        out = smyrf(*leaves, **options).float().square().sum()
    out.backward()
    for leaf, b in zip(leaves, grads, strict=True):
        assert leaf.grad is not None
        assert torch.equal(leaf.grad, b)


def test_a_second_derivative_is_an_error_always() -> None:
    q, k, v = (draw(1, 1, 12, 4, seed=seed).requires_grad_() for seed in range(3))
    out = smyrf(q, k, v, cluster_size=4)
    with pytest.raises(RuntimeError, match="no gradient of its own: call without create_graph=True"):
        torch.autograd.grad(out.sum(), (q, k, v), create_graph=True)  # the upstream gradient is constant


class Drawn(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x @ seeded_directions(3, 4, 2)[:4] + seeded_projection(3, 1, 2, 4).sum()


PROBE = """
import torch
from regard.mechanisms.performer.projection import seeded_projection
from regard.mechanisms.smyrf.hashing import seeded_directions
print([seeded_directions(3, 4, 2).tolist(), seeded_projection(3, 1, 2, 4).tolist()])
"""


def fresh() -> list[Any]:
    """The draws of a fresh process."""
    out = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True).stdout
    return eval(out)  # type: ignore[no-any-return]


def now() -> list[Any]:
    return [seeded_directions(3, 4, 2).tolist(), seeded_projection(3, 1, 2, 4).tolist()]


def test_draws_are_those_of_a_fresh_process_whoever_asks_first() -> None:
    expected = fresh()

    def forget() -> None:
        seeded_directions.cache_clear()
        seeded_projection.cache_clear()

    forget()
    assert now() == expected
    forget()
    x = torch.ones(2, 4)
    program = torch.export.export(Drawn(), (x,))
    names = [str(node.target) for node in program.graph.nodes]
    assert not [name for name in names if "rand" in name or "generator" in name]
    assert now() == expected
    torch.testing.assert_close(program.module()(x), Drawn()(x))
    forget()
    with torch._subclasses.FakeTensorMode():
        seeded_directions(3, 4, 2), seeded_projection(3, 1, 2, 4)
    assert now() == expected
    forget()
    with torch.device("meta"):
        seeded_directions(3, 4, 2), seeded_projection(3, 1, 2, 4)
    assert now() == expected
    forget()
    torch.set_default_dtype(torch.float64)
    try:
        seeded_directions(3, 4, 2), seeded_projection(3, 1, 2, 4)
    finally:
        torch.set_default_dtype(torch.float32)
    assert now() == expected
    assert not seeded_directions(3, 4, 2).is_inference()
    compiled = torch.compile(Drawn(), fullgraph=True, backend="aot_eager")
    forget()
    torch.testing.assert_close(compiled(x), Drawn()(x))
    assert now() == expected

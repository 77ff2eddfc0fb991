"""The layer that all mechanisms share: what it refuses, what masks do, the shape of its maps."""

from typing import Any

import pytest
import torch
from torch import nn

from regard.attention import Attention
from regard.common.patterns import ALL_PATTERNS
from regard.registry import build
from tests.regard.vectors import draw

X = torch.zeros(2, 5, 8)


Z = torch.zeros(2, 7, 8)


SEEN = torch.ones(2, 5, dtype=torch.bool)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"width": 10, "heads": 4}, r"heads must divide the width, got width = 10 and heads = 4 \(10 / 4 = 2.5\)"),
        ({"width": 0, "heads": 1}, "width must be at least 1, got 0"),
        ({"width": 4, "heads": 0}, "heads must be at least 1, got 0"),
        ({"width": 4, "heads": -2}, "heads must be at least 1, got -2"),
    ],
)
def test_bad_sizes(sizes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build("softmax", **sizes)


@pytest.mark.parametrize(
    ("pattern", "inputs", "masks", "error", "message"),
    [
        ("noncausal_cross", (X,), {}, ValueError, "'noncausal_cross' needs a context"),
        ("causal_self", (X, Z), {}, ValueError, "'causal_self' takes no context"),
        ("causal_self", (X,), {"context_mask": SEEN}, ValueError, "'causal_self' takes no context"),
        ("noncausal_self", (X[0],), {}, ValueError, r"x must be \(batch, length, width = 8\), got \(5, 8\)"),
        ("noncausal_self", (X[..., :6],), {}, ValueError, r"x must be \(batch, length, width = 8\), got \(2, 5, 6\)"),
        ("noncausal_cross", (X, Z[0]), {}, ValueError, r"context must be \(batch, length, width = 8\), got \(7, 8\)"),
        ("noncausal_cross", (X, Z[:1]), {}, ValueError, "one batch size, got 2 and 1"),
        ("noncausal_self", (X.long(),), {}, TypeError, "x must be floating point, got torch.int64"),
        (
            "noncausal_self",
            (X,),
            {"x_mask": SEEN.float()},
            TypeError,
            r"x_mask must be boolean \(True = keep\), got torch.float32",
        ),
        ("noncausal_self", (X,), {"x_mask": SEEN[:, 1:]}, ValueError, r"x_mask must be .* = \(2, 5\), got \(2, 4\)"),
        (
            "noncausal_cross",
            (X, Z),
            {"context_mask": SEEN},
            ValueError,
            r"context_mask must be .* = \(2, 7\), got \(2, 5\)",
        ),
    ],
)
def test_bad_inputs(pattern: Any, inputs: Any, masks: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build("softmax", width=8, heads=2, pattern=pattern)(*inputs, **masks)


def test_which_rows_are_hidden() -> None:
    layers = {pattern: build("softmax", width=8, heads=2, pattern=pattern) for pattern in ALL_PATTERNS}
    assert {pattern: layer.cross for pattern, layer in layers.items()} == {p: p.endswith("cross") for p in ALL_PATTERNS}
    assert [pattern for pattern, layer in layers.items() if layer.causal] == ["causal_self"]


def test_the_layer_is_the_formula_written_out() -> None:
    layer = build("softmax", width=6, heads=2, pattern="noncausal_cross").double()
    x, z = draw(1, 4, 6, seed=0), draw(1, 5, 6, seed=1)
    heads = []
    for i in (slice(0, 3), slice(3, 6)):
        q, k, v = layer.query(x)[0, :, i], layer.key(z)[0, :, i], layer.value(z)[0, :, i]
        heads.append((q @ k.T / 3**0.5).softmax(-1) @ v)
    torch.testing.assert_close(layer(x, z)[0], layer.output(torch.cat(heads, -1)), rtol=0, atol=1e-12)


def test_masked_positions_may_hold_anything_and_stay_finite() -> None:
    layer = build("softmax", width=8, heads=2)
    x, mask = draw(2, 5, 8, seed=0, dtype=torch.float32), torch.tensor([[True] * 5, [False] * 5])
    bad = x.masked_fill(~mask[:, :, None], torch.nan).requires_grad_()
    out = layer(bad, x_mask=mask)
    assert out.isfinite().all()
    out.sum().backward()
    assert bad.grad is not None
    assert bad.grad.isfinite().all()
    torch.testing.assert_close(out[0], layer(x[:1])[0])


def test_maps_without_bias_and_their_start() -> None:
    torch.manual_seed(0)
    layer = build("softmax", width=64, heads=2, bias=False)
    assert all(getattr(layer, name).bias is None for name in layer.maps)
    bounds = {name: getattr(layer, name).weight.abs().max().item() for name in layer.maps}
    limit = (6 / 128) ** 0.5  # Xavier-uniform at gain 1
    for name, largest in bounds.items():
        expected = limit if name == "output" else limit / 2**0.5
        assert 0.95 * expected < largest <= expected, name
    assert build("softmax", width=8, heads=2).query.bias.abs().sum() == 0


def test_a_mechanism_that_forgets_mix_or_its_reference_is_told() -> None:
    class Forgetful(Attention):
        name = "forgetful"

    layer = Forgetful(width=4, heads=2)
    heads = torch.zeros(1, 2, 3, 2)
    with pytest.raises(NotImplementedError, match=r"Forgetful must define mix\(q, k, v, key_mask\)"):
        layer(torch.zeros(1, 3, 4))
    with pytest.raises(NotImplementedError, match="Forgetful must define naive"):
        layer.naive(heads, heads, heads, None)
    assert Forgetful.exact(3) is None


def test_a_formula_may_not_hide_the_parameters_of_a_module() -> None:
    with pytest.raises(
        TypeError, match=r"Hiding\.parameters would hide nn\.Module\.parameters; name the formula parameter_count"
    ):
        type("Hiding", (Attention,), {"parameters": classmethod(lambda cls: 0)})
    layer = build("softmax", width=4, heads=2)
    assert sum(p.numel() for p in nn.Module.parameters(layer)) == sum(p.numel() for p in layer.parameters())


def test_repr_tells_the_options() -> None:
    assert repr(build("smyrf", width=4, heads=2, rounds=3)).startswith(
        "SmyrfAttention(\n  width=4, heads=2, pattern=noncausal_self, rounds=3, cluster_size=32, key_cluster_size=None"
    )
    assert "length=5" in repr(build("super", width=4, heads=2, length=5))

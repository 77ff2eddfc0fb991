"""Every layer in what PyTorch offers around it: deferred initialisation, default types, copies, torch.func, second derivatives."""

import contextlib
import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

import regard
from regard.attention import Attention
from regard.common.patterns import Pattern, is_cross
from regard.mechanisms import kde
from regard.mechanisms.performer import orthogonal_projection
from regard.registry import mechanism_class
from tests.regard.fuzzing import layer_cases

WIDTH, HEADS, N, M = 16, 2, 23, 17
layers = pytest.mark.parametrize(("name", "pattern"), layer_cases())
FUSED = ("efficient", "linformer", "longshort", "nystrom", "optimised", "softmax", "super")  # by torch's fused kernels
OF_FUSED_KERNELS = r"derivative for aten::_scaled_dot_product.* is not implemented"


def built(name: str, pattern: Pattern) -> Attention:
    torch.manual_seed(0)
    options: dict[str, Any] = dict(mechanism_class(name).example)
    return regard.registry.build(name, width=WIDTH, heads=HEADS, pattern=pattern, **options).eval()  # type: ignore[no-any-return]


def inputs(pattern: Pattern, dtype: torch.dtype = torch.float32, n: int = N, batch: int = 3) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(1)
    lengths = (n, M) if is_cross(pattern) else (n,)
    return tuple(
        torch.randn(batch, each, WIDTH, generator=generator, dtype=torch.float64).to(dtype) for each in lengths
    )


def close(a: Tensor, b: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


# -- where a layer comes from


@layers
def test_a_layer_from_meta_is_filled_by_reset_parameters(name: str, pattern: Pattern) -> None:
    """As FSDP and others do it: built without memory, then memory that holds anything, then `reset_parameters`."""
    with torch.device("meta"):
        layer = built(name, pattern)
    assert all(x.is_meta for x in (*layer.parameters(), *layer.buffers()))
    layer = layer.to_empty(device="cpu")
    for x in (*layer.parameters(), *layer.buffers()):
        x.data.fill_(torch.nan if x.is_floating_point() else -77)
    torch.manual_seed(3)
    layer.reset_parameters()
    for key, x in layer.state_dict().items():
        assert x.isfinite().all(), key
        assert x.is_floating_point() or (x >= 0).all(), key
    assert layer(*inputs(pattern)).isfinite().all()
    usual = built(name, pattern)
    for key, x in usual.state_dict().items():  # the same scale of start
        if x.is_floating_point() and x.std() > 0 and x.numel() > 30:
            assert 0.5 < layer.state_dict()[key].std() / x.std() < 2, key


@layers
def test_reset_parameters_repeats_itself_under_a_seed(name: str, pattern: Pattern) -> None:
    a, b = built(name, pattern), built(name, pattern)
    with torch.no_grad():
        for x in b.parameters():
            x.add_(1)
    for layer in (a, b):
        torch.manual_seed(5)
        layer.reset_parameters()
    for key, x in a.state_dict().items():
        assert torch.equal(x, b.state_dict()[key]), key


def test_a_seed_that_was_given_is_kept() -> None:
    layer = regard.build("probsparse", width=8, heads=2, seed=7)
    layer.reset_parameters()
    assert int(layer.seed) == 7


@layers
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_another_default_type(name: str, pattern: Pattern, dtype: torch.dtype) -> None:
    torch.set_default_dtype(dtype)
    try:
        layer = built(name, pattern)
    finally:
        torch.set_default_dtype(torch.float32)
    assert {x.dtype for x in layer.state_dict().values() if x.is_floating_point()} == {dtype}
    out = layer(*inputs(pattern, dtype))
    assert out.dtype == dtype
    assert out.isfinite().all()


@layers
def test_copies_and_pickles_are_the_layer(name: str, pattern: Pattern) -> None:
    layer, given = built(name, pattern), inputs(pattern)
    out = layer(*given)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (copy.deepcopy(layer), torch.load(file, weights_only=False)):
        assert torch.equal(other(*given), out)
        assert {id(x) for x in other.parameters()}.isdisjoint(id(x) for x in layer.parameters())


@layers
def test_what_is_drawn_is_a_buffer_that_ranks_can_share(name: str, pattern: Pattern) -> None:
    """DistributedDataParallel sends rank 0's parameters and buffers; nothing else may make two ranks differ."""
    layer, given = built(name, pattern), inputs(pattern)
    torch.manual_seed(9)
    other = regard.registry.build(
        name, width=WIDTH, heads=HEADS, pattern=pattern, **mechanism_class(name).example
    ).eval()
    with torch.no_grad():
        for mine, sent in zip(
            (*other.parameters(), *other.buffers()), (*layer.parameters(), *layer.buffers()), strict=True
        ):
            mine.copy_(sent)
    assert torch.equal(other(*given), layer(*given))


# -- derivatives


def refused(name: str) -> Any:
    if name == "smyrf":
        return pytest.raises(RuntimeError, match=r"SMYRF does not run under torch\.func")
    return contextlib.nullcontext()


@layers
def test_vmap_over_rows_and_gradients_of_single_rows(name: str, pattern: Pattern) -> None:
    layer, given = built(name, pattern).double(), inputs(pattern, torch.float64)
    parameters = dict(layer.named_parameters())

    def loss(parameters: dict[str, Tensor], *rows: Tensor) -> Tensor:
        out: Tensor = torch.func.functional_call(layer, parameters, tuple(x[None] for x in rows))
        return out.square().sum()

    with refused(name):
        mapped = torch.func.vmap(lambda *rows: layer(*(x[None] for x in rows))[0])(*given)
        close(mapped, layer(*given), 1e-10)
        single = torch.func.vmap(torch.func.grad(loss), in_dims=(None,) + (0,) * len(given))(parameters, *given)
        layer(*given).square().sum().backward()
        for key, x in layer.named_parameters():
            if x.grad is not None:
                close(single[key].sum(0), x.grad, 1e-8)


@layers
def test_forward_mode(name: str, pattern: Pattern) -> None:
    layer, given = built(name, pattern).double(), inputs(pattern, torch.float64)
    tangents = tuple(x.flip(0) for x in given)
    with refused(name):
        _, tangent = torch.func.jvp(lambda *xs: layer(*xs), given, tangents)
        step = 1e-6
        ahead, behind = (layer(*(x + s * y for x, y in zip(given, tangents, strict=True))) for s in (step, -step))
        close(tangent, (ahead - behind) / (2 * step), 1e-6)


@layers
def test_second_derivatives_are_right_or_an_error(name: str, pattern: Pattern, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the gradient that comes in is a constant, and another path to x has a second derivative."""
    if (
        name == "kde"
    ):  # the sample and its chances depend on the values and count as constants: so they are those of the first call
        really, drawn = kde.sample_by_values, dict[str, Any]()
        monkeypatch.setattr(kde, "sample_by_values", lambda *given: drawn.setdefault("once", really(*given)))
    layer, given = built(name, pattern).double(), inputs(pattern, torch.float64, n=40, batch=2)
    for parameter in layer.parameters():
        parameter.requires_grad_(False)
    weights, along = given[0].flip(1), given[0].roll(3, 1)

    def gradient(x: Tensor) -> Tensor:
        x = x if x.requires_grad else x.clone().requires_grad_()
        loss = (layer(x, *given[1:]) * weights).sum() + x.pow(3).sum()
        return torch.autograd.grad(loss, x, create_graph=True)[0]

    x = given[0].clone().requires_grad_()
    if name == "smyrf":
        with pytest.raises(RuntimeError, match="no gradient of its own"):
            gradient(x)
        return

    def second() -> Tensor:
        return torch.autograd.grad((gradient(x) * along).sum(), x)[0]

    fused = name in FUSED and (name, pattern) != ("longshort", "causal_self")
    if fused:
        with pytest.raises(RuntimeError, match=OF_FUSED_KERNELS):
            second()
    with sdpa_kernel(SDPBackend.MATH) if fused else contextlib.nullcontext():
        found = second()
    step = 1e-5
    ahead, behind = (gradient((given[0] + s * along).detach()).detach() for s in (step, -step))
    expected = (ahead - behind) / (2 * step)
    close(found / expected.abs().max(), expected / expected.abs().max(), 1e-6)


# -- large numbers


@pytest.mark.parametrize(("features", "size"), [(64, 12), (256, 9), (64, 20)])
def test_causal_performer_far_from_its_largest_key(features: int, size: float) -> None:
    """Where float32's denominators underflow: outputs and gradients are those of float64."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (size * torch.randn(1, 2, 300, 64, generator=generator) for _ in range(3))
    projection = orthogonal_projection(2, features, 64, generator=generator)
    found = []
    for dtype in (torch.float32, torch.float64):
        leaves = [x.detach().to(dtype).clone().requires_grad_() for x in (q, k, v)]
        out = regard.functional.performer(*leaves, projection=projection.to(dtype), causal=True)
        out.sum().backward()
        found.append([out.detach(), *(x.grad for x in leaves if x.grad is not None)])
    for narrow, wide in zip(*found, strict=True):
        assert narrow.isfinite().all()
        close(narrow.double() / wide.abs().max(), wide / wide.abs().max(), 1e-4)


def test_steps_of_performer_far_from_the_largest_key() -> None:
    layer = regard.build("performer", width=64, heads=1, features=64, pattern="causal_self")
    generator = torch.Generator().manual_seed(0)
    q, k, v = (20 * torch.randn(1, 1, 40, 64, generator=generator) for _ in range(3))
    expected = regard.functional.performer(
        q.double(), k.double(), v.double(), projection=layer.projection.double(), causal=True
    )
    state, rows = None, []
    for i in range(40):
        row, state = layer.mix_step(*(x[:, :, i : i + 1] for x in (q, k, v)), state)
        rows.append(row)
    close(torch.cat(rows, 2).double(), expected, 1e-3)


def test_probsparse_beyond_float16() -> None:
    """Scores of 100,000: float16 ends at 65,504."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 40, 64, generator=generator) * size for size in (300, 300, 1))
    out = regard.functional.probsparse(q.half(), k.half(), v.half(), factor=2)
    expected = regard.functional.probsparse(q.half().float(), k.half().float(), v.half().float(), factor=2)
    close(out.float(), expected, 2e-3)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [(name, "causal_self") for name in ("cosformer", "performer", "abc", "s4d")]
    + [("s4d", "noncausal_self"), ("probsparse", "noncausal_self")],
)
@pytest.mark.parametrize("n", [1, 7, 64, 65, 200])
def test_the_forms_of_compiled_graphs_are_the_eager_ones(
    name: str, pattern: Pattern, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled, chunks are summed without a loop, lengths are not logarithms, transforms have other lengths."""
    layer, found = built(name, pattern).double(), []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda compiling=compiling: compiling)
        x = inputs(pattern, torch.float64, n=n)[0].requires_grad_()
        out = layer(x)
        out.square().sum().backward()
        assert x.grad is not None
        found.append((out.detach(), x.grad))
    for a, b in zip(*found, strict=True):
        close(a, b, 1e-10)

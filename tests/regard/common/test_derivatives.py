"""What is differentiated twice, forward, or by `torch.func`."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from regard.common.derivatives import (
    can_branch,
    differentiable_gradients,
    fused_attention,
    in_forward_mode,
    refuse_transforms,
    wants_second,
)


class Cube(torch.autograd.Function):
    """x³ with a backward pass by hand; `right` has it differentiated."""

    right = True

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(x)
        return x**3

    @staticmethod
    def backward(ctx, grad: Tensor) -> Tensor | None:  # type: ignore[no-untyped-def, override]
        if Cube.right and wants_second():
            return differentiable_gradients(lambda x: x**3, ctx.saved_tensors, grad)[0]
        return Cube.by_hand(ctx, grad)  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable
    def by_hand(ctx, grad: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        return 3 * ctx.saved_tensors[0] ** 2 * grad


@pytest.mark.parametrize("right", [True, False])
def test_a_backward_pass_by_hand_is_a_constant_without_it(right: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cube, "right", right)
    x = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(Cube.apply(x).sum() + x.square().sum(), x, create_graph=True)  # type: ignore[no-untyped-call]
    assert first.item() == 16
    (second,) = torch.autograd.grad(first.sum(), x)
    assert second.item() == (14 if right else 2)  # 6 x + 2, or what the other term has alone


def test_gradients_of_some_inputs() -> None:
    a, b = torch.tensor([3.0], requires_grad=True), torch.tensor([5.0])
    with torch.enable_grad():
        to_a, to_b = differentiable_gradients(lambda a, b: a * a * b, (a, b), torch.ones(1))
    assert to_b is None
    assert to_a is not None
    assert to_a.item() == 30
    assert torch.autograd.grad(to_a.sum(), a)[0].item() == 10


def test_forward_mode_takes_the_plain_form() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 2, 5, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    assert torch.equal(
        fused_attention(q, k, v, is_causal=True), F.scaled_dot_product_attention(q, k, v, is_causal=True)
    )
    seen = []

    def attend(q: Tensor) -> Tensor:
        seen.append(in_forward_mode())
        return fused_attention(q, k, v, scale=0.3)

    _, tangent = torch.func.jvp(attend, (q,), (q.flip(2),))
    assert seen == [True]
    assert not in_forward_mode()
    step = 1e-6
    expected = (attend(q + step * q.flip(2)) - attend(q - step * q.flip(2))) / (2 * step)
    torch.testing.assert_close(tangent, expected, rtol=0, atol=1e-8)


def test_who_may_look_at_numbers() -> None:
    seen: list[bool] = []
    assert can_branch()
    torch.func.vmap(lambda x: (seen.append(can_branch()), x)[1])(torch.ones(2))
    assert seen == [False]
    refuse_transforms("This")
    with pytest.raises(RuntimeError, match=r"This does not run under torch\.func"):
        torch.func.vmap(lambda x: (refuse_transforms("This"), x)[1])(torch.ones(2))
    with torch.autograd.forward_ad.dual_level(), pytest.raises(RuntimeError, match=r"nor in forward-mode"):
        refuse_transforms("This")

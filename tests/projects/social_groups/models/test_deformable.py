"""Deformable attention against its definition, a bilinear sample, and finite differences."""

import pytest
import torch
import torch.nn.functional as F

from projects.social_groups.models.deformable import DeformableAttention, naive_sample, sample, sample_by_rows
from projects.social_groups.models.transformer import centres, sine_positions


def arguments(dtype=torch.float64):
    torch.manual_seed(0)
    maps = [torch.randn(2, 2, 3, 3, 5, dtype=dtype), torch.randn(2, 2, 3, 2, 3, dtype=dtype)]
    places = torch.rand(2, 4, 2, 2, 2, 2, dtype=dtype) * 1.4 - 0.2  # some outside the map
    weights = torch.randn(2, 4, 2, 2, 2, dtype=dtype).flatten(3).softmax(-1).view(2, 4, 2, 2, 2)
    return maps, places, weights


@pytest.mark.parametrize("form", [sample, sample_by_rows])
def test_samples_are_those_of_the_definition(form):
    maps, places, weights = arguments()
    assert torch.allclose(form(maps, places, weights), naive_sample(maps, places, weights), atol=1e-12)


@pytest.mark.parametrize("form", [sample, sample_by_rows])
def test_gradients_by_finite_differences(form):
    maps, places, weights = arguments()
    inputs = [part.requires_grad_() for part in (*maps, places, weights)]
    assert torch.autograd.gradcheck(lambda a, b, p, w: form([a, b], p, w), inputs, atol=1e-6)


def test_both_forms_have_the_same_gradients():
    inputs = [part.requires_grad_() for part in (*arguments()[0], *arguments()[1:])]
    by_form = [
        torch.autograd.grad((form(inputs[:2], *inputs[2:]) ** 2).sum(), inputs) for form in (sample, sample_by_rows)
    ]
    for one, other in zip(*by_form, strict=True):
        assert torch.allclose(one, other, atol=1e-10)


def test_places_far_outside_give_nothing_and_take_no_gradient():
    maps, places, weights = arguments()
    inputs = [part.requires_grad_() for part in (*maps, places * 100 + 7, weights)]
    out = sample_by_rows(inputs[:2], *inputs[2:])
    assert (out == 0).all()
    assert all((gradient == 0).all() for gradient in torch.autograd.grad(out.sum(), inputs))


def test_without_offsets_and_with_equal_weights_it_is_a_bilinear_sample_at_the_reference():
    torch.manual_seed(0)
    layer = DeformableAttention(width=8, heads=2, levels=1, points=3)
    torch.nn.init.zeros_(layer.offsets.bias)
    source, reference = torch.randn(2, 8, 4, 6), torch.rand(2, 5, 2)
    out = layer(torch.randn(2, 5, 8), reference, [source])
    bilinear = F.grid_sample(source, 2 * reference[:, None] - 1, align_corners=False)[:, :, 0].mT
    assert torch.allclose(out, layer.output(layer.value(bilinear)), atol=1e-5)


def test_at_first_heads_look_in_directions_of_their_own_point_by_point():
    bias = DeformableAttention(width=8, heads=4, levels=2, points=3).offsets.bias.view(4, 2, 3, 2)
    assert torch.allclose(bias[0, 0], torch.tensor([[1.0, 0], [2, 0], [3, 0]]), atol=1e-6)
    assert torch.allclose(bias[1, 1], torch.tensor([[0, 1.0], [0, 2], [0, 3]]), atol=1e-6)


def test_an_offset_is_a_pixel_of_its_level():
    layer = DeformableAttention(width=2, heads=1, levels=2, points=1)
    with torch.no_grad():
        layer.offsets.bias.copy_(torch.tensor([1.0, 0, 0.5, 0]))
        layer.value.weight.copy_(torch.eye(2))
        layer.output.weight.copy_(torch.eye(2))
    fine, coarse = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 2, 2)
    fine[0, 0, 1, 2], coarse[0, 1, 0, 1] = 1.0, 1.0
    reference = torch.tensor([[[(1 + 0.5) / 4, (1 + 0.5) / 4]]])  # the centre of pixel (1, 1) of the fine map
    out = layer(torch.zeros(1, 1, 2), reference, [fine, coarse])
    # On the coarse map the reference is at (0.25, 0.25) pixels, and at 0.75 in x after half a pixel: three quarters of column 1 and of row 0.
    assert out[0, 0].tolist() == pytest.approx([0.5, 0.5 * 0.75 * 0.75], abs=1e-6)


def test_positions_and_centres():
    assert centres(2, 4)[0].tolist() == [0.125, 0.25]
    assert centres(2, 4)[-1].tolist() == [0.875, 0.75]
    code = sine_positions(3, 5, 16)
    assert code.shape == (16, 3, 5)
    assert torch.equal(code[:8, :, :1].expand(-1, -1, 5), code[:8])  # the first half says y
    assert torch.equal(code[8:, :1].expand(-1, 3, -1), code[8:])
    assert len(torch.unique(code.flatten(1), dim=1).T) == 15


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="width = 8 and heads = 3"):
        DeformableAttention(width=8, heads=3, levels=1, points=1)

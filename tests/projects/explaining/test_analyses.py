"""Distances, replacements, minimality and identifiability, each against a case worked by hand."""

import math

import numpy as np
import pytest
import torch

from projects.explaining.analyses.distances import flips, jsd, kendall, positive, tvd
from projects.explaining.analyses.explained_layer import keeps
from projects.explaining.analyses.identifiability import generable_unique, ranges
from projects.explaining.analyses.interventions import needed, not_smaller, on_support, rank_with_ones
from projects.explaining.analyses.replacements import NAMES, replaced, shuffled
from projects.explaining.models.classifier import ExplainedLayer, mix_values, uniform_weights


def layer_of(t: int = 3, h: int = 2, m: int = 24, e: int = 4, d: int = 4, seed: int = 0) -> ExplainedLayer:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(t, h, m, e, generator=generator, dtype=torch.float64)
    keys = torch.randn(t, h, m, d, generator=generator, dtype=torch.float64)
    mask = torch.arange(m) < torch.tensor([m, m - 5, m])[:t, None]
    scores = torch.randn(t, h, m, generator=generator, dtype=torch.float64).masked_fill(~mask[:, None], -torch.inf)
    return ExplainedLayer(scores.softmax(-1), values, keys, mask, None)


def test_distances_by_hand():
    p, q = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).double(), torch.tensor([[0.0, 1.0], [0.5, 0.5]]).double()
    assert jsd(p, q).tolist() == pytest.approx([math.log(2), 0.0], abs=1e-12)
    assert tvd(p, q).tolist() == [1.0, 0.0]
    y, z = 0.7, 0.4  # of two classes the total variation is the change of one probability, not half of it
    assert float(tvd(torch.tensor([y, 1 - y]), torch.tensor([z, 1 - z]))) == pytest.approx(0.3)
    assert flips(p, q).tolist() == [True, False]
    random = torch.rand(100, 7).double()
    between = jsd(positive(random), positive(random.flip(0)))
    assert 0 <= float(between.min()) <= float(between.max()) <= math.log(2)


def test_kendall_by_hand():
    real = torch.tensor([True, True, True, False])
    tau, _ = kendall(torch.tensor([1.0, 2, 3, 0]), torch.tensor([1.0, 3, 2, 9]), real)
    assert tau == pytest.approx(1 / 3)  # two pairs agree, one does not
    assert kendall(torch.ones(4), torch.arange(4.0), real) == (0.0, 1.0)


def test_a_permutation_keeps_special_tokens_and_heads_together():
    layer = layer_of()
    free = layer.mask.clone()
    free[:, 0] = False
    moved = shuffled(layer.attention, free, 4, torch.Generator().manual_seed(0))
    assert moved.shape == (4, 3, 2, 24)
    assert torch.equal(moved[..., 0], layer.attention[..., 0].expand(4, -1, -1))
    assert not moved[:, 1, :, 19:].any()
    assert torch.allclose(moved.sort(-1).values, layer.attention.sort(-1).values.expand(4, -1, -1, -1))
    assert not torch.equal(moved[0], moved[1])
    permuted = replaced("permuted", layer, ~free, seed=0)
    assert torch.equal(permuted[..., 0], layer.attention[..., 0])
    pairs = {tuple(pair) for pair in layer.attention[0].T.tolist()}  # what a token has in both heads stays together
    assert {tuple(pair) for pair in moved[2, 0].T.tolist()} == pairs


@pytest.mark.parametrize("name", NAMES)
def test_replacements_keep_off_padding_and_repeat_themselves(name):
    layer, special = layer_of(), torch.zeros(3, 24, dtype=torch.bool)
    weights = replaced(name, layer, special, seed=3)
    assert weights.shape == layer.attention.shape
    assert not weights[1, :, 19:].any()
    assert torch.equal(replaced(name, layer, special, seed=3), weights)
    change = (mix_values(weights, layer) - mix_values(layer.attention, layer)).abs().max()
    assert (float(change) < 1e-10) == (name in ("raw", "E1", "E2", "E3", "E4", "E5", "null_step")), float(change)


def test_controls_have_the_sizes_they_are_said_to_have():
    layer, special = layer_of(), torch.zeros(3, 24, dtype=torch.bool)
    norm = layer.attention.norm(dim=-1)
    assert torch.allclose(replaced("matrix", layer, special, 0).norm(dim=-1), norm)
    for name in ("null_step", "column_step"):
        step = replaced(name, layer, special, 0) - layer.attention
        assert torch.allclose(step.norm(dim=-1), 0.5 * norm)
    assert torch.allclose(replaced("simplex", layer, special, 0).sum(-1), torch.ones(3, 2).double())
    assert uniform_weights(layer.mask, 2)[1, 0, :20].tolist() == pytest.approx([1 / 19] * 19 + [0])


def test_every_weight_of_a_vertex_is_needed_and_none_of_an_even_row():
    layer, special = layer_of(), torch.zeros(3, 24, dtype=torch.bool)
    assert needed(replaced("E3", layer, special, 0), layer) == 1.0
    assert needed(replaced("uniform", layer, special, 0), layer) == 0.0
    assert needed(replaced("E1", layer, special, 0), layer) == 0.0
    assert rank_with_ones(layer).tolist() == [[5, 5]] * 3


def row_of(weights: list[float], values: list[list[float]]) -> tuple[torch.Tensor, ExplainedLayer]:
    """One text with one head: a row of weights on values, one list per token."""
    row, matrix = torch.tensor([[weights]], dtype=torch.float64), torch.tensor([[values]], dtype=torch.float64)
    return row, ExplainedLayer(row, matrix, matrix, torch.ones(1, len(weights), dtype=torch.bool), None)


@pytest.mark.parametrize(
    ("weights", "values", "share"),
    [
        ([1 / 3, 1 / 3, 1 / 3], [[0], [1], [2]], 0.0),  # the output 1 is that of the middle, or of both ends
        ([0.5, 0, 0.5], [[0], [1], [2]], 1.0),  # on the support alone: no other weights of two ends give 1
        ([0.2, 0.3, 0.5], [[0], [1], [2]], 1 / 3),  # 1.3 is out of reach without the 2
        (
            [1 - 3e-8, 3e-8],
            [[0], [1]],
            1.0,
        ),  # a vertex, however small a weight: between the limits that there once were
        ([1 - 3e-8, 3e-8], [[0], [1e-3]], 1.0),
        ([1 - 1e-12, 1e-12], [[0], [1]], 1.0),  # rounding, and no weight
        ([0.5, 0.5 - 2e-8, 2e-8], [[0], [1], [1]], 1 / 3),  # two equal tokens can take each other's place
        ([1.5, -0.5], [[0], [1]], 1.0),
        ([1.5, -1.0, 0.5], [[0], [1], [2]], 0.0),  # with negative weights any two of a line's points give any output
    ],
)
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_needed_weights_by_hand(weights, values, share, scale):
    assert needed(*row_of(weights, [[scale * x for x in value] for value in values])) == pytest.approx(share)


def test_each_weight_of_a_vertex_is_needed_also_where_tokens_are_nearly_equal():
    """As on brackets: three kinds of token, told apart by their positions alone, which count for little."""
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randn(3, 16, generator=generator, dtype=torch.float64)
    values = kinds[torch.arange(24) % 3] + 1e-4 * torch.randn(24, 16, generator=generator, dtype=torch.float64)
    scores = 12 * torch.rand(40, 1, 24, generator=generator, dtype=torch.float64)
    mask = torch.ones(40, 24, dtype=torch.bool)
    layer = ExplainedLayer(scores.softmax(-1), values.expand(40, 1, 24, 16), values.expand(40, 1, 24, 16), mask, None)
    vertices = replaced("E3", layer, torch.zeros(40, 24, dtype=torch.bool), 0)
    assert needed(vertices, layer) == 1.0
    assert int(on_support(vertices).sum(-1).max()) <= int(rank_with_ones(layer).max())


def test_e4_is_the_smallest_row_by_row_up_to_equality():
    """Also where S(a) is one point, so that all definitions agree and no mean is below another."""
    for m in (5, 24):  # values are 4 wide: 5 tokens leave no freedom
        layer, special = layer_of(m=m), torch.zeros(3, m, dtype=torch.bool)
        layer = layer.part(torch.tensor([0, 2]))
        smallest = replaced("E4", layer, special, 0)
        for name in ("raw", "E3", "E5"):
            assert bool(not_smaller(replaced(name, layer, special, 0), smallest).all())
        assert not bool(not_smaller(replaced("E1", layer, special, 0), smallest).any())  # E1 is no distribution


def test_an_output_is_kept_relative_to_its_values():
    error = torch.tensor([[[1e-9, 1e-7]]], dtype=torch.float64)
    for scale, kept in ((1e-3, [False, False]), (1.0, [True, False]), (100.0, [True, True])):
        values = torch.full((1, 1, 2, 3), scale, dtype=torch.float64)
        assert keeps(error, values)[0, 0].tolist() == kept


def test_ranges_by_hand():
    """Weights ½, 0, ½ on values 0, 1, 2: each outer weight can be anything from 0 to ½; with two more values none can move."""
    attention = torch.tensor([[[0.5, 0.0, 0.5]]], dtype=torch.float64)
    values = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64).view(1, 1, 3, 1)
    mask = torch.ones(1, 3, dtype=torch.bool)
    top, others = ranges(ExplainedLayer(attention, values, values, mask, None), 1)
    assert [*top.tolist(), *others.tolist()] == pytest.approx([0.5, 0.5], abs=1e-6)
    square = torch.cat([values, values.square()], -1)
    top, _ = ranges(ExplainedLayer(attention, square, values, mask, None), 1)
    assert top.tolist() == pytest.approx([0.0], abs=1e-6)


@pytest.mark.parametrize(("key_width", "unique"), [(2, True), (4, True), (6, False)])
def test_keys_no_wider_than_values_make_rows_locally_unique(key_width, unique):
    assert bool(generable_unique(layer_of(e=4, d=key_width)).all()) == unique
    assert bool(generable_unique(layer_of(e=4, d=key_width)).any()) == unique


def test_what_all_keys_share_makes_no_other_row():
    """Softmax does not see it, so that it neither makes rows nor counts in the rank of the keys."""
    layer = layer_of(e=4, d=3)
    layer.keys[..., 0] = 1.0
    assert bool(generable_unique(layer).all())


def test_ranges_bound_what_other_distributions_do():
    layer, special = layer_of(t=1, h=1), torch.zeros(1, 24, dtype=torch.bool)
    top, _ = ranges(layer, 1)
    place = int(layer.attention[0, 0].argmax())
    weights = [float(replaced(name, layer, special, 0)[0, 0, place]) for name in ("raw", "E3", "E4", "E5")]
    assert np.ptp(weights) <= float(top[0]) + 1e-6
    assert float(top[0]) > 0.01

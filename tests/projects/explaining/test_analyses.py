"""Distances, replacements, minimality and identifiability, each against a case worked by hand."""

import math

import numpy as np
import pytest
import torch

from projects.explaining.analyses.distances import flips, jsd, kendall, positive, tvd
from projects.explaining.analyses.identifiability import generable_unique, ranges
from projects.explaining.analyses.interventions import needed, rank_with_ones
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

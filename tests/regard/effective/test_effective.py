"""Effective attention: hand-worked rows, other people's solvers, and the traps of padding, bias, rank and sharp rows."""

import pytest
import torch

import regard.effective
from regard.effective import DEFINITIONS, distributions, effective_attention, null_dimension, output_error
from tests.regard.effective.attention_rows import head

KEEPING = ("E1", "E2", "E3", "E4", "E5")


DISTRIBUTIONS = ("E3", "E4", "E5")


def test_three_tokens_by_hand():
    """Values 0, 1, 2, weights ½, 0, ½: the output is 1, and so is that of the even row."""
    attention, values = (
        torch.tensor([[0.5, 0.0, 0.5]], dtype=torch.float64),
        torch.tensor([[0.0], [1.0], [2.0]]).double(),
    )
    even = [1 / 3, 1 / 3, 1 / 3]
    expected = {"E1": [0, 0.2, 0.4], "E2": even, "E3": [0.5, 0, 0.5], "E4": even, "E5": even, "E6": [0, 1 / 3, 2 / 3]}
    for definition, row in expected.items():
        found = effective_attention(attention, values, definition=definition)
        assert found[0].tolist() == pytest.approx(row, abs=1e-9), definition


@pytest.mark.parametrize("scale", [1.0, 8.0])
@pytest.mark.parametrize("definition", DEFINITIONS)
def test_what_each_keeps(definition, scale):
    attention, values = head(20, 96, 8, scale)
    found = effective_attention(attention, values, definition=definition)
    assert (float(output_error(found, attention, values).max()) < 1e-10) == (definition != "E6")
    assert bool(distributions(found).all()) == (definition not in ("E1", "E2"))
    sums_to_one = float((found.sum(-1) - 1).abs().max()) < 1e-8
    assert sums_to_one == (definition != "E1")


@pytest.mark.parametrize("definition", DISTRIBUTIONS)
def test_rows_that_are_all_but_one_token_arrive_too(definition):
    """As in the first layers of a pre-trained model: S(a) is next to a point, and weights go down to 1e-40."""
    attention, values = head(66, 66, 32, scale=12.0)
    assert float(attention.amax(-1).max()) > 0.9999
    found = effective_attention(attention, values, definition=definition)
    assert float(output_error(found, attention, values).max()) < 1e-9
    assert bool(distributions(found).all())


@pytest.mark.parametrize("definition", KEEPING)
def test_no_more_tokens_than_a_value_is_wide_leaves_attention_as_it_is(definition):
    attention, values = head(5, 16, 16)
    assert int(null_dimension(values)) == 0
    assert torch.allclose(effective_attention(attention, values, definition=definition), attention, atol=1e-9)


def test_one_token_more_is_still_unique_among_distributions():
    attention, values = head(5, 17, 16)
    assert int(null_dimension(values)) == 1
    assert int(null_dimension(values, sum_zero=True)) == 0
    for definition in DISTRIBUTIONS:
        assert torch.allclose(effective_attention(attention, values, definition=definition), attention, atol=1e-9)
    assert not torch.allclose(effective_attention(attention, values, definition="E1"), attention, atol=1e-3)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_padded_and_unpadded_runs_agree(definition):
    attention, values = head(6, 40, 8)
    alone = effective_attention(attention, values, definition=definition)
    padded = torch.nn.functional.pad(attention, (0, 24))
    filled = torch.cat([values, torch.full((24, 8), torch.nan, dtype=torch.float64)])
    keep = torch.arange(64) < 40
    together = effective_attention(padded, filled, definition=definition, key_mask=keep)
    assert torch.allclose(together[:, :40], alone, atol=1e-9)
    assert not together[:, 40:].any()


def test_padding_taken_out_after_the_decomposition_loses_the_output():
    """The trap itself, so that the test above is known to see it."""
    attention, values = head(6, 64, 8)
    keep = torch.arange(64) < 40
    attention = attention * keep / (attention * keep).sum(-1, keepdim=True)
    late = effective_attention(attention, values, definition="E1") * keep
    assert float(output_error(late, attention, values).max()) > 0.1
    early = effective_attention(attention, values, definition="E1", key_mask=keep)
    assert float(output_error(early, attention, values * keep[:, None]).max()) < 1e-12


def test_a_bias_left_out_of_the_values_is_felt():
    attention, values = head(6, 64, 8)
    bias = torch.full((8,), 2.0, dtype=torch.float64)
    without = effective_attention(attention, values, definition="E1")
    assert float(output_error(without, attention, values + bias).max()) > 0.1
    inside = effective_attention(attention, values + bias, definition="E1")
    assert float(output_error(inside, attention, values + bias).max()) < 1e-12
    assert (
        float(output_error(effective_attention(attention, values, definition="E2"), attention, values + bias).max())
        < 1e-12
    )


@pytest.mark.parametrize("definition", ["E1", "E2", "E4", "E5"])
def test_twins_share_their_weight(definition):
    """Tokens with the same value are exchangeable; only a vertex may prefer one."""
    attention, values = head(5, 30, 4)
    values[7] = values[3]
    found = effective_attention(attention, values, definition=definition)
    assert torch.allclose(found[:, 7], found[:, 3], atol=1e-7)
    assert float(output_error(found, attention, values).max()) < 1e-10


def test_norms_and_entropies_are_in_order():
    attention, values = head(10, 80, 6)
    rows = {name: effective_attention(attention, values, definition=name) for name in KEEPING}
    norm = {name: row.norm(dim=-1) for name, row in rows.items()}
    for lower, upper in (("E1", "E2"), ("E2", "E4"), ("E4", "E5"), ("E4", "E3")):
        assert bool((norm[lower] <= norm[upper] + 1e-9).all()), (lower, upper)
    entropy = {name: torch.special.entr(rows[name]).sum(-1) for name in DISTRIBUTIONS}
    assert bool((entropy["E5"] >= entropy["E4"] - 1e-9).all())
    assert bool((entropy["E5"] >= torch.special.entr(attention).sum(-1) - 1e-9).all())


def test_shapes_types_and_rows_that_see_nothing():
    attention, values = (x.float() for x in head(6, 40, 8))
    attention[2] = 0
    rows, batch = attention.expand(2, 3, -1, -1), values.expand(2, 3, -1, -1)
    keep = torch.ones(2, 40, dtype=torch.bool)
    for definition in DEFINITIONS:
        found = effective_attention(rows, batch, definition=definition, key_mask=keep)
        assert found.shape == (2, 3, 6, 40)
        assert found.dtype == torch.float32
        assert not found[:, :, 2].any()
        assert torch.equal(found[0, 0], found[1, 2])


def test_what_does_not_fit_is_said_with_the_numbers():
    attention, values = head(6, 40, 8)
    with pytest.raises(ValueError, match=r"no definition 'e4'\. Did you mean 'E4'\? There are E1, E2"):
        effective_attention(attention, values, definition="e4")
    with pytest.raises(ValueError, match=r"got \(6, 40\) and \(39, 8\)"):
        effective_attention(attention, values[1:], definition="E1")
    with pytest.raises(ValueError, match=r"key_mask must be \(batch, keys\) = \(40,\), got \(6,\)"):
        effective_attention(attention, values, definition="E1", key_mask=torch.ones(6, dtype=torch.bool))
    with pytest.raises(ValueError, match=r"the least entry is 0\.0.*the sums are 2"):
        effective_attention(2 * attention, values, definition="E4")
    with pytest.raises(TypeError, match=r"floating point tensor, got torch\.int64"):
        effective_attention(attention.long(), values, definition="E1")
    assert regard.effective.effective_attention is effective_attention

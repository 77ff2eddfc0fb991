"""What certification asks with: inputs and masks as their names say, and a comparison that notices what it should."""

from dataclasses import replace

import pytest
import torch

from regard.certification.subject import (
    BATCH,
    CONTEXT_LENGTH,
    LENGTH,
    TOLERANCE,
    WIDTH,
    Comparison,
    Inputs,
    Subject,
    Violation,
    plain,
    ragged_mask,
    recorded,
    scattered_mask,
)
from regard.mechanisms.softmax import SoftmaxAttention

SELF = Subject(SoftmaxAttention, "causal_self", {})
CROSS = Subject(SoftmaxAttention, "noncausal_cross", {})


def test_masks_by_hand() -> None:
    assert ragged_mask(7).sum(1).tolist() == [7, 5, 1]
    assert ragged_mask(7)[1].tolist() == [True] * 5 + [False] * 2
    mask = scattered_mask(50, 3)
    assert not mask[:, 0].any()
    assert mask[:, -1].all()
    assert 0.4 < mask.double().mean() < 0.9


def test_inputs_of_the_patterns() -> None:
    assert SELF.inputs().context is None
    inputs = CROSS.inputs()
    assert inputs.context is not None
    assert (inputs.x.shape, inputs.context.shape) == ((BATCH, LENGTH, WIDTH), (BATCH, CONTEXT_LENGTH, WIDTH))
    assert torch.equal(inputs.x, CROSS.inputs().x)
    assert not torch.equal(inputs.x, CROSS.inputs(seed=2).x)
    padded = CROSS.padded()
    assert padded.x_mask is not None
    assert padded.context_mask is not None
    assert padded.x_mask.sum(1).tolist() == [24, 16, 1]
    assert padded.context_mask.sum(1).tolist() == [1, 13, 19]  # the other way round: no row is short in both


def test_a_layer_is_drawn_from_its_seed_and_leaves_the_callers_draws_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, again, other = (SELF.layer(seed=seed) for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), before)
    for one, two, three in zip(first.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)
        assert not torch.equal(one, three)
        assert one.count_nonzero() == one.numel()  # biases too: a leak of a masked position would not show otherwise
    assert not first.training


def test_a_row_unpadded_and_filled() -> None:
    inputs = Inputs(torch.arange(6.0).view(2, 3, 1), x_mask=torch.tensor([[True, False, True], [True, True, False]]))
    assert inputs.row(1).unpadded().x.flatten().tolist() == [3, 4]
    assert inputs.filled(9).x.flatten().tolist() == [0, 9, 2, 3, 4, 9]


def test_the_plain_layer_computes_the_reference() -> None:
    layer = SELF.layer()
    layer.naive = lambda q, k, v, key_mask: 0 * q + 7
    out = recorded(plain(layer), SELF.inputs())[3]
    assert (out == 7).all()
    assert not (recorded(layer, SELF.inputs())[3] == 7).any()


def test_a_layer_that_mixes_twice_has_nothing_to_compare() -> None:
    class Twice(SoftmaxAttention):
        def forward(self, x, **masks):
            return super().forward(x, **masks) + super().forward(x, **masks)

    with pytest.raises(Violation, match="forward calls mix 2 times, not once"):
        recorded(replace(SELF, cls=Twice).layer(), SELF.inputs())
    with pytest.raises(Violation, match="the layer returns a str, not a tensor"):
        SELF.inputs().through(lambda x, x_mask: "out")


@pytest.mark.parametrize(
    ("actual", "message"),
    [
        (torch.zeros(2, 2), r"here: \(2, 2\) torch\.float32, expected \(2,\) torch\.float64"),
        (torch.tensor([1.0, torch.nan]).double(), r"here holds nan at \[1\]"),
        (torch.tensor([1.0, 4 + 1e-7], dtype=torch.float64), r"here: differs by 2\.5e-08 at \[1\], tolerance 1e-08"),
    ],
)
def test_what_a_comparison_notices(actual: torch.Tensor, message: str) -> None:
    """Differences count in units of the largest expected entry."""
    expected = torch.tensor([1.0, 4.0], dtype=torch.float64)
    with pytest.raises(Violation, match=message):
        Comparison().equal(actual, expected, "here")
    with pytest.raises(Violation, match=r"here, what it is compared with, holds inf at \[0\]"):
        Comparison().equal(expected, expected * torch.tensor([torch.inf, 1]), "here")


def test_a_comparison_remembers_the_largest_difference() -> None:
    compared, zero = Comparison(), torch.zeros(2, dtype=torch.float64)
    for difference, where in ((1e-10, "first"), (0.9 * TOLERANCE, "second"), (0.0, "third")):
        compared.equal(zero + difference, zero, where)
    assert str(compared) == "largest difference 9.0e-09 (second), tolerance 1e-08"

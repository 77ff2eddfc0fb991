"""Segment means: the lengths of the segments, and that padding never moves a border."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard.common.landmarks import segment_means, segment_members


@pytest.mark.parametrize(
    ("length", "segments", "expected"),
    [(50, 8, [6] * 6 + [7] * 2), (64, 16, [4] * 16), (3, 5, [0, 0, 1, 1, 1]), (1, 1, [1]), (7, 2, [3, 4])],
)
def test_lengths_of_the_segments(length: int, segments: int, expected: list[int]) -> None:
    member, size = segment_members(torch.ones(1, length, dtype=torch.bool), segments)
    assert size[0].tolist() == member[0].sum(1).tolist() == expected
    starts = [sum(expected[:c]) for c in range(segments) if expected[c]]
    assert member[0].int().argmax(1)[size[0] > 0].tolist() == starts


@settings(deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 12))
def test_a_masked_row_has_the_segments_of_its_real_tokens(kept: list[bool], segments: int) -> None:
    mask = torch.tensor([kept])
    x = torch.randn(1, 2, len(kept), 3, dtype=torch.float64)
    noisy = x.masked_fill(~mask[:, None, :, None], torch.nan)
    means, present = segment_means(noisy, segments, mask)
    alone, present_alone = segment_means(x[:, :, mask[0]], segments)
    assert torch.equal(present, present_alone)
    torch.testing.assert_close(means, alone, rtol=0, atol=1e-12)


def test_an_absent_segment_is_zero_and_a_row_may_be_all_padding() -> None:
    means, present = segment_means(torch.full((1, 1, 4, 2), torch.nan), 2, torch.zeros(1, 4, dtype=torch.bool))
    assert means.eq(0).all()
    assert not present.any()


def test_errors_name_the_numbers() -> None:
    with pytest.raises(ValueError, match="at least 1, got 0"):
        segment_means(torch.ones(1, 1, 4, 2), 0)
    with pytest.raises(ValueError, match=r"\(1, 4\), got \(1, 5\)"):
        segment_means(torch.ones(1, 1, 4, 2), 2, torch.ones(1, 5, dtype=torch.bool))

"""Bad sizes and types: one error, with the numbers in it."""

import pytest
import torch

from regard.common.checks import check_choice, check_count, check_heads
from tests.regard.vectors import heads


def test_good_heads_pass() -> None:
    q, k, v = heads(0, n=5, m=7)
    check_heads(q, k, v, key_mask=torch.ones(2, 7, dtype=torch.bool))
    check_heads(*heads(0, n=5), self_attention=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q, k, v: (q[0], k, v), r"must be \(batch, heads, length, head width\), got q \(2, 5, 4\)"),
        (lambda q, k, v: (q[:1], k, v), r"one batch size and one number of heads, got q \(1, 2, 5, 4\)"),
        (lambda q, k, v: (q, k[:, :1], v), r"one number of heads, got .* k \(2, 1, 7, 4\)"),
        (lambda q, k, v: (q[..., :3], k, v), r"one head width, got 3 and 4"),
        (lambda q, k, v: (q, k[:, :, 1:], v), r"k and v must have one length, got 6 and 7"),
    ],
)
def test_bad_shapes(change, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_heads(*change(*heads(0, n=5, m=7)))


def test_bad_lengths_types_and_masks() -> None:
    q, k, v = heads(0, n=5, m=7)
    with pytest.raises(ValueError, match="as many queries as keys, got n = 5 and m = 7"):
        check_heads(q, k, v, self_attention=True)
    with pytest.raises(TypeError, match=r"float64, torch\.float32 and torch\.float64"):
        check_heads(q, k.float(), v)
    with pytest.raises(TypeError, match=r"floating point and of one type, got torch\.int64"):
        check_heads(q.long(), k.long(), v.long())
    with pytest.raises(ValueError, match=r"key_mask must be \(batch, length\) = \(2, 7\), got \(2, 5\)"):
        check_heads(q, k, v, key_mask=torch.ones(2, 5, dtype=torch.bool))


def test_counts_and_choices() -> None:
    check_count(1, 1, "window")
    check_choice("paper", ("paper",), "variant")
    with pytest.raises(ValueError, match="window must be at least 1, got 0"):
        check_count(0, 1, "window")
    with pytest.raises(TypeError, match="window must be an integer, got True"):
        check_count(True, 1, "window")
    with pytest.raises(ValueError, match="variant must be one of 'a', 'b', got 'c'"):
        check_choice("c", ("a", "b"), "variant")

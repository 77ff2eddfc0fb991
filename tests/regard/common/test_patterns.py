"""The four patterns by their names, and masked rows set to zero whatever they held."""

import torch

from regard.common.patterns import ALL_PATTERNS, MASKED_LOGIT, is_causal, is_cross, zero_masked


def test_the_patterns_by_hand() -> None:
    told = {pattern: (is_causal(pattern), is_cross(pattern)) for pattern in ALL_PATTERNS}
    assert told == {
        "noncausal_self": (False, False),
        "causal_self": (True, False),
        "noncausal_cross": (False, True),
        "causal_cross": (True, True),
    }


def test_without_a_mask_the_tensor_is_returned_itself() -> None:
    x = torch.ones(1, 2, 3)
    assert zero_masked(x, None) is x


def test_a_masked_logit_has_no_weight_and_no_nan_where_every_key_is_masked() -> None:
    for dtype in (torch.float32, torch.bfloat16):
        logits = torch.tensor([[0.0, MASKED_LOGIT], [MASKED_LOGIT, MASKED_LOGIT]], dtype=dtype, requires_grad=True)
        weights = logits.softmax(-1)
        assert weights[0].tolist() == [1, 0]
        weights.sum().backward()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


def test_zero_masked_takes_layers_and_heads() -> None:
    mask = torch.tensor([[True, False]])
    assert zero_masked(torch.ones(1, 2, 1), mask).tolist() == [[[1], [0]]]
    assert zero_masked(torch.ones(1, 2, 2, 1), mask).tolist() == [[[[1], [0]], [[1], [0]]]]

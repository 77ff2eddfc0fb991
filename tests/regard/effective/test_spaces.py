"""The space that values span: its dimension by hand, for each head by itself."""

import torch

from regard.effective import DEFINITIONS, effective_attention, null_dimension
from tests.regard.effective.attention_rows import head


def test_rank_is_counted_per_head_and_relative_to_it():
    attention, values = head(5, 30, 6)
    thin = values.clone()
    thin[:, 3:] = thin[:, :3] @ torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    small = 1e-9 * values
    batch = torch.stack([values, thin, small, 1e8 * thin])
    assert null_dimension(batch).tolist() == [24, 27, 24, 27]
    rows = attention.expand(4, -1, -1)
    for definition in DEFINITIONS:
        together = effective_attention(rows, batch, definition=definition)
        for place, one in enumerate(batch):
            assert torch.allclose(
                together[place], effective_attention(attention, one, definition=definition), atol=1e-8
            )
    assert torch.allclose(together[0], together[2], atol=1e-6)

"""ABC, the definition: slots of every query in full."""

import torch
from torch import Tensor

from regard.common.checks import Variant


def naive_abc(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    key_slots: Tensor,
    value_slots: Tensor,
    causal: bool = False,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    variant: Variant = "paper",
) -> Tensor:
    """The definition, with slots of every query in full: n × c × (d + e). Arguments as `abc`."""
    seen = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device)
    seen = (seen.tril() if causal else seen)[None, None]
    if key_mask is not None:
        seen = seen & key_mask[:, None, None, :]
        k, v = (x.masked_fill(~key_mask[:, None, :, None], 0) for x in (k, v))
    seen = seen[..., None]  # b 1 n m 1

    def slots(x: Tensor, control: Tensor) -> Tensor:
        logits = (x @ control)[:, :, None].masked_fill(~seen, -torch.inf)  # b h n m c
        weights = torch.where(seen.any(3, keepdim=True), logits.softmax(3), 0)
        if causal and variant == "released":
            weights = weights * torch.eye(q.shape[2], dtype=x.dtype, device=x.device)[:, :, None]
        return torch.einsum("bhnmc,bhmd->bhncd", weights, x)

    scores = torch.einsum("bhnd,bhncd->bhnc", q, slots(k, key_slots))
    weights = (scores * (q.shape[-1] ** -0.5 if scale is None else scale)).softmax(-1)
    return torch.einsum("bhnc,bhnce->bhne", weights, slots(v, value_slots))

"""SMYRF with a padding mask in one of two orders: the right one, and that of the released code (its first defect).

Hidden states of b texts and h heads become b · h rows, head within text: row i belongs to text ⌊i / h⌋. The released
code repeats the masks as a whole, text 0, 1, …, b − 1, 0, 1, …, so that row i gets the mask of text i mod b: the right
one for about one row in b, if no two texts have one length. Dense attention is not affected.

There a mask subtracts from the hashes, by which masked tokens are sorted last, and from the scores of masked keys. A
real token that the wrong mask drops is thus in a cluster of dropped tokens, where what is subtracted cancels in the
softmax: dropped tokens attend among themselves. Here they do so exactly, with no cluster in which kept and dropped
tokens mix.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from projects.smyrf.config import MaskOrder
from regard import functional
from regard.adapters import huggingface
from regard.mechanisms.smyrf.hashing import seeded_directions

NAME = "smyrf-mask-order"
SETTINGS = "mask_order"  # the attribute of a model's config with order, rounds, cluster_size and seed


def put(encoder: Any, order: MaskOrder, *, rounds: int, cluster_size: int) -> Callable[[int], None]:
    """Have the encoder run SMYRF with masks in this order, `right` or `released`. Returns what draws its directions anew from a seed."""
    _register()
    encoder.set_attn_implementation(NAME)
    settings = {"order": order, "rounds": rounds, "cluster_size": cluster_size, "seed": 0}
    setattr(encoder.config, SETTINGS, settings)
    return MaskOrderSeed(settings)


class MaskOrderSeed:
    """Draws the directions anew. A copy in another process, a rank of a training, registers the attention there."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def __call__(self, seed: int) -> None:
        self.settings["seed"] = seed

    def __setstate__(self, state: dict[str, Any]) -> None:
        _register()
        self.__dict__ |= state


def _register() -> None:
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, huggingface.padding_mask)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """The attention function of transformers: query, key and value (b, h, n, d) -> (b, n, h, d), no weights. The mask is padding, (b, n)."""
    b, h, n, d = query.shape
    settings: dict[str, Any] = getattr(module.config, SETTINGS)
    seed = settings["seed"] * 10_007 + module.layer_idx  # as the adapter's, so that equal seeds draw equal directions
    directions = seeded_directions(seed, d, settings["rounds"]).to(query.device)
    keep = torch.ones(b, n, dtype=torch.bool, device=query.device) if attention_mask is None else attention_mask
    mask = rows_of(keep, h, settings["order"])
    q, k, v = (x.flatten(0, 1)[:, None] for x in (query, key, value))
    options = {
        "cluster_size": settings["cluster_size"],
        "directions": directions,
        "rounds": settings["rounds"],
        "scale": scaling,
    }
    output = functional.smyrf(q, k, v, key_mask=mask, query_mask=mask, **options)
    if settings["order"] == "released" and not bool(mask.all()):
        output = output + functional.smyrf(q, k, v, key_mask=~mask, query_mask=~mask, **options)
    return torch.unflatten(output[:, 0], 0, (b, h)).transpose(1, 2).contiguous(), None


def rows_of(keep: Tensor, heads: int, order: MaskOrder) -> Tensor:
    """The mask of each of the b · h rows, from those of b texts: keep (b, n) -> (b · h, n)."""
    return keep.repeat_interleave(heads, 0) if order == "right" else keep.repeat(heads, 1)


def wrong_rows(keep: Tensor, heads: int) -> int:
    """How many of the b · h rows of a batch have another mask in the released order than in the right one."""
    differs = rows_of(keep, heads, "right") != rows_of(keep, heads, "released")
    return int(differs.any(1).sum())

"""The decoder's self attention over G groups of M slots, whole or divided. Every block is an attention of Regard.

    id   name         tokens attend to                                  pairs scored
    S0   none         nothing                                           0
    S1   full         all tokens                                        (G M)²
    S2   intra        the slots of their group                          G M²
    S3   inter        the same slot of every group                      M G²
    S4   inter_intra  inter, then intra                                 M G² + G M²
    S5   intra_inter  intra, then inter                                 M G² + G M²
    S6   parallel     both at once, summed                              M G² + G M²
    S7   group_means  intra, then inter among the groups' means         G M² + G²
    S1×2 full_twice   all tokens, twice: the control of S4's two blocks 2 (G M)²

The IJCV paper divides self attention into an inter-group and an intra-group one; in which order is not known to us.
"""

from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from projects.social_groups.config import AttentionDesign
from regard.registry import build

Over = Literal["full", "intra", "inter", "means"]
DESIGNS: dict[AttentionDesign, tuple[Over, ...]] = {
    "none": (),
    "full": ("full",),
    "intra": ("intra",),
    "inter": ("inter",),
    "inter_intra": ("inter", "intra"),
    "intra_inter": ("intra", "inter"),
    "parallel": ("inter", "intra"),
    "group_means": ("intra", "means"),
    "full_twice": ("full", "full"),
}


def pairs(design: AttentionDesign, groups: int, slots: int) -> int:
    """How many query–key pairs one layer scores."""
    per_block: dict[Over, int] = {
        "full": (groups * slots) ** 2,
        "intra": groups * slots**2,
        "inter": slots * groups**2,
        "means": groups**2,
    }
    return sum(per_block[block] for block in DESIGNS[design])


class Block(nn.Module):
    """One attention: queries and keys see content and position, values the content alone.

    `forward(x, position)` takes and gives `(b, g, m, w)`.

    Args:
        over: Which tokens attend to each other: "full", "intra", "inter" or "means".
        width: Model width w.
        heads: Number of heads; must divide `width`.
        mechanism: A registered name.
    """

    def __init__(self, over: Over, *, width: int, heads: int, mechanism: str) -> None:
        super().__init__()
        self.over = over
        self.attention = build(mechanism, width=width, heads=heads)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        b, g, m, _ = x.shape
        match self.over:
            case "full":
                out = self._attend(rearrange(x, "b g m w -> b (g m) w"), rearrange(position, "b g m w -> b (g m) w"))
                return rearrange(out, "b (g m) w -> b g m w", g=g)
            case "intra":
                out = self._attend(rearrange(x, "b g m w -> (b g) m w"), rearrange(position, "b g m w -> (b g) m w"))
                return rearrange(out, "(b g) m w -> b g m w", b=b)
            case "inter":
                out = self._attend(rearrange(x, "b g m w -> (b m) g w"), rearrange(position, "b g m w -> (b m) g w"))
                return rearrange(out, "(b m) g w -> b g m w", b=b)
            case "means":
                return self._attend(x.mean(2), position.mean(2))[:, :, None].expand(-1, -1, m, -1)

    def _attend(self, x: Tensor, position: Tensor) -> Tensor:
        """(rows, n, w) -> (rows, n, w)."""
        placed = x + position
        q, k, v = self._projected("query", placed), self._projected("key", placed), self._projected("value", x)
        mixed = rearrange(self.attention.mix(q, k, v, None), "b h n d -> b n (h d)")
        out: Tensor = self.attention.get_submodule("output")(mixed)
        return out

    def _projected(self, name: str, source: Tensor) -> Tensor:
        """(rows, n, w) -> (rows, h, n, d), by the projection of that name if the mechanism has one."""
        projections = dict(self.attention.named_children())
        return rearrange(
            projections[name](source) if name in projections else source, "b n (h d) -> b h n d", h=self.attention.heads
        )


class SelfAttention(nn.Module):
    """The blocks of a design, each followed by dropout, a residual and a norm, as in Deformable DETR.

    `forward(x, position)` takes and gives `(b, g, m, w)`.

    Args:
        design: One of `DESIGNS`.
        width: Model width w.
        heads: Number of heads; must divide `width`.
        dropout: Share of a block's output that is dropped in training.
        mechanism: The attention of every block, a registered name. Default: "softmax".
    """

    def __init__(
        self, design: AttentionDesign, *, width: int, heads: int, dropout: float, mechanism: str = "softmax"
    ) -> None:
        super().__init__()
        self.parallel = design == "parallel"
        blocks = DESIGNS[design]
        self.blocks = nn.ModuleList(Block(over, width=width, heads=heads, mechanism=mechanism) for over in blocks)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in (blocks[:1] if self.parallel else blocks))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, position: Tensor) -> Tensor:
        if self.parallel:
            mixed = torch.stack([block(x, position) for block in self.blocks]).sum(0)
            out: Tensor = self.norms[0](x + self.dropout(mixed))
            return out
        for block, norm in zip(self.blocks, self.norms, strict=True):
            x = norm(x + self.dropout(block(x, position)))
        return x

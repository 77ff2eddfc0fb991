"""Multi-scale deformable attention in plain torch, after Zhu et al., "Deformable DETR", 2021, equation 3.

    out(q) = W_o concat_h Σ_l Σ_p  a_hlp(q) · (W_v x_l)_h at φ_l(r_q) + Δ_hlp(q)

For head h, level l and point p the offset Δ and the weight a (softmax over l and p) are linear in the query. Values between pixels are bilinear,
those outside the map 0. Locations are fractions of the frame; offsets are in pixels of their level.
"""

import math

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


def naive_sample(maps: list[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
    """The definition, pixel by pixel. Arguments and result as `sample`."""
    b, q, h, levels, points, _ = locations.shape
    out = locations.new_zeros(b, q, h, maps[0].shape[2])
    for index in torch.cartesian_prod(*(torch.arange(size) for size in (b, q, h, levels, points))).tolist():
        row, query, head, level, point = index
        values = maps[level][row, head]  # d rows columns
        rows, columns = values.shape[1:]
        x = locations[row, query, head, level, point, 0] * columns - 0.5
        y = locations[row, query, head, level, point, 1] * rows - 0.5
        for j in (math.floor(float(y)), math.floor(float(y)) + 1):
            for i in (math.floor(float(x)), math.floor(float(x)) + 1):
                if 0 <= i < columns and 0 <= j < rows:
                    share = (1 - (x - i).abs()) * (1 - (y - j).abs())
                    out[row, query, head] += weights[row, query, head, level, point] * share * values[:, j, i]
    return out


def sample(maps: list[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of bilinear samples.

    Args:
        maps: One per level, `(b, h, d, rows, columns)`.
        locations: `(b, q, h, levels, points, 2)`, x and y as fractions of the frame.
        weights: `(b, q, h, levels, points)`.

    Returns:
        `(b, q, h, d)`.
    """
    grids = 2 * locations - 1
    total: Tensor | float = 0.0
    for level, values in enumerate(maps):
        grid = rearrange(grids[:, :, :, level], "b q h p two -> (b h) q p two")
        sampled = F.grid_sample(values.flatten(0, 1), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        weight = rearrange(weights[:, :, :, level], "b q h p -> (b h) 1 q p")
        total = total + (sampled * weight).sum(-1)  # (b h) d q
    assert isinstance(total, Tensor)
    return rearrange(total, "(b h) d q -> b q h d", b=len(locations))


class DeformableAttention(nn.Module):
    """Each query samples the maps around its reference.

    `forward(query, reference, source)` takes queries `(b, q, w)`, their references `(b, q, 2)` as fractions of the frame, and one map per level
    `(b, w, rows, columns)`, and gives `(b, q, w)`.

    Args:
        width: Model width w.
        heads: Number of heads; must divide `width`.
        levels: How many maps there are.
        points: Samples per head and level.

    Raises:
        ValueError: `heads` does not divide `width`.
    """

    def __init__(self, *, width: int, heads: int, levels: int, points: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"heads must divide the width, got width = {width} and heads = {heads}")
        self.heads, self.levels, self.points = heads, levels, points
        self.offsets = nn.Linear(width, heads * levels * points * 2)
        self.weights = nn.Linear(width, heads * levels * points)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Deformable DETR's start: uniform weights, a direction per head, point p at a distance of p pixels."""
        nn.init.zeros_(self.offsets.weight)
        angle = 2 * math.pi * torch.arange(self.heads) / self.heads
        direction = torch.stack((angle.cos(), angle.sin()), dim=-1)
        direction = direction / direction.abs().max(-1, keepdim=True).values
        steps = torch.arange(1, self.points + 1, dtype=torch.float32)
        start = direction[:, None, None] * steps[None, None, :, None]  # heads 1 points 2
        with torch.no_grad():
            self.offsets.bias.copy_(start.expand(-1, self.levels, -1, -1).flatten())
        nn.init.zeros_(self.weights.weight)
        nn.init.zeros_(self.weights.bias)
        for linear in (self.value, self.output):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.zeros_(linear.bias)

    def maps(self, source: list[Tensor]) -> list[Tensor]:
        """The values of each level per head: (b, w, rows, columns) -> (b, h, d, rows, columns)."""
        return [
            rearrange(self.value(rearrange(x, "b w r c -> b r c w")), "b r c (h d) -> b h d r c", h=self.heads)
            for x in source
        ]

    def forward(self, query: Tensor, reference: Tensor, source: list[Tensor]) -> Tensor:
        shape = (*query.shape[:2], self.heads, self.levels, self.points)
        offsets = self.offsets(query).view(*shape, 2)
        weights = self.weights(query).view(*shape[:3], -1).softmax(-1).view(shape)
        sizes = torch.tensor([[x.shape[-1], x.shape[-2]] for x in source], dtype=query.dtype, device=query.device)
        locations = reference[:, :, None, None, None] + offsets / sizes[:, None]
        out: Tensor = self.output(sample(self.maps(source), locations, weights).flatten(2))
        return out

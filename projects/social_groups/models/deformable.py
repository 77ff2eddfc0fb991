"""Multi-scale deformable attention in plain torch, after Zhu et al., "Deformable DETR", 2021, equation 3.

    out(q) = W_o concat_h Σ_l Σ_p  a_hlp(q) · (W_v x_l)_h at φ_l(r_q) + Δ_hlp(q)

For head h, level l and point p the offset Δ and the weight a (softmax over l and p) are linear in the query. Values
between pixels are bilinear, those outside the map 0. Locations are fractions of the frame; offsets are in pixels of
their level.
"""

import itertools
import math
from typing import Any

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
    """Weighted sums of bilinear samples, with gradients that are the same in every run.

    torch's `grid_sample` has such a gradient on the CPU alone, so that `sample_by_rows` takes its place on every other device.

    Args:
        maps: One per level, `(b, h, d, rows, columns)`.
        locations: `(b, q, h, levels, points, 2)`, x and y as fractions of the frame.
        weights: `(b, q, h, levels, points)`.

    Returns:
        `(b, q, h, d)`.
    """
    if locations.device.type != "cpu":
        return sample_by_rows(maps, locations, weights)
    grids = 2 * locations - 1
    total: Tensor | float = 0.0
    for level, values in enumerate(maps):
        grid = rearrange(grids[:, :, :, level], "b q h p two -> (b h) q p two")
        sampled = F.grid_sample(values.flatten(0, 1), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        weight = rearrange(weights[:, :, :, level], "b q h p -> (b h) 1 q p")
        total = total + (sampled * weight).sum(-1)  # (b h) d q
    assert isinstance(total, Tensor)
    return rearrange(total, "(b h) d q -> b q h d", b=len(locations))


def sample_by_rows(maps: list[Tensor], locations: Tensor, weights: Tensor) -> Tensor:
    """The same by reading rows of a table, whose gradient is `index_add_`: torch has it deterministic on GPUs too.

    A row holds the four pixels around a point, of a map with one pixel of zeros around it. Arguments and result as `sample`.
    """
    b, q, h = locations.shape[:3]
    d = maps[0].shape[2]
    quads, shapes = [], []
    for values in maps:
        padded = F.pad(rearrange(values, "b h d r c -> b h r c d"), (0, 0, 1, 1, 1, 1))
        left, right = padded[:, :, :, :-1], padded[:, :, :, 1:]
        quads.append(torch.cat((left[:, :, :-1], right[:, :, :-1], left[:, :, 1:], right[:, :, 1:]), -1).flatten(2, 3))
        shapes.append((values.shape[-1], values.shape[-2]))
    table = torch.cat(quads, dim=2)
    size = torch.tensor(shapes, device=locations.device)[:, None]  # levels 1 2
    first = torch.tensor([0, *itertools.accumulate(quad.shape[2] for quad in quads)][:-1], device=locations.device)
    place = locations * size + 0.5  # in pixels of the padded map
    corner = place.detach().floor().clamp(min=0).minimum(size.to(place))
    x, y = (place - corner).unbind(-1)
    weights = weights * ((x >= 0) & (x <= 1) & (y >= 0) & (y <= 1))
    upper, lower = weights * (1 - y), weights * y
    shares = torch.stack((upper * (1 - x), upper * x, lower * (1 - x), lower * x), dim=-1)
    column, row = corner.long().unbind(-1)
    head = torch.arange(b * h, device=locations.device).view(b, 1, h, 1, 1) * table.shape[2]
    rows = row * (size[..., 0] + 1) + column + first[:, None] + head
    summed: Tensor = WeightedRows.apply(table.view(-1, 4, d), rows.view(b * q * h, -1), shares.view(b * q * h, -1, 4))  # type: ignore[no-untyped-call]
    return summed.view(b, q, h, d)


class WeightedRows(torch.autograd.Function):
    """out[n] = Σ_k Σ_j shares[n, k, j] · table[rows[n, k], j]; the rows read are not kept for the gradient but read again.

    `table` is `(t, 4, d)`, `rows` `(n, k)`, `shares` `(n, k, 4)`; the sums are `(n, d)`.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor, rows: Tensor, shares: Tensor) -> Tensor:
        ctx.save_for_backward(table, rows, shares)
        return torch.einsum("nkj,nkjd->nd", shares, table[rows].to(shares.dtype))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor]:
        table, rows, shares = ctx.saved_tensors
        (gradient,) = gradients
        of_shares = torch.einsum("nd,nkjd->nkj", gradient, table[rows].to(shares.dtype))
        to_rows = (shares[..., None] * gradient[:, None, None]).flatten(0, 1).to(table.dtype)
        return torch.zeros_like(table).index_add_(0, rows.flatten(), to_rows), None, of_shares


class DeformableAttention(nn.Module):
    """Each query samples the maps around its reference.

    `forward(query, reference, source)` takes queries `(b, q, w)`, their references `(b, q, 2)` as fractions of the
    frame, and one map per level `(b, w, rows, columns)`, and gives `(b, q, w)`.

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

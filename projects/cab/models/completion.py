"""PoinTr (Yu et al. 2021): the points of a view become proxies, an encoder and a decoder of attention make proxies of
what is missing, and each of those is folded into points.

Under test is the encoder's self attention, or the decoder's cross attention; the decoder's self attention is softmax
attention. Where a point lies is known by a map of its coordinates, for every mechanism the same; order has no meaning.
"""

import torch
from torch import Tensor, nn

from projects.cab.config import Attention, Pcc
from projects.cab.models.blocks import feed_forward
from projects.cab.models.layer_under_test import AttentionLayers
from regard.common.patterns import Pattern

PLACE = 3  # coordinates of a point


class Neighbours(nn.Module):
    """What the nearest of other points say: max over the k nearest j of MLP([x_j − x_i, x_i]) (DGCNN, Wang et al. 2019)."""

    def __init__(self, width: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.map = nn.Sequential(nn.Linear(2 * width, width), nn.LeakyReLU(0.2))

    def forward(self, x: Tensor, at: Tensor, others: Tensor, others_at: Tensor) -> Tensor:
        """x `(b, n, w)` at `(b, n, 3)`, others `(b, m, w)` at `(b, m, 3)` -> `(b, n, w)`."""
        near = gathered(others, nearest(at, others_at, self.count))
        own = x[:, :, None].expand_as(near)
        out: Tensor = self.map(torch.cat([near - own, own], -1)).amax(2)
        return out


class Branch(nn.Module):
    """x + attention(norm(x)), in the first block beside what neighbours say, both merged by a linear map (PoinTr's geometry-aware block).

    Args:
        attention: The layer.
        width: The model's width.
        count: Neighbours; `None` for none.
        cross: Does it read others than x?
    """

    def __init__(self, attention: nn.Module, width: int, count: int | None, *, cross: bool = False) -> None:
        super().__init__()
        self.attention, self.norm = attention, nn.LayerNorm(width)
        self.others_norm = nn.LayerNorm(width) if cross else None
        self.neighbours = Neighbours(width, count) if count is not None else None
        self.merge = nn.Linear(2 * width, width) if count is not None else None

    def forward(self, x: Tensor, at: Tensor, others: Tensor | None = None, others_at: Tensor | None = None) -> Tensor:
        """x `(b, n, w)` at `(b, n, 3)`, and what it reads, if that is others -> `(b, n, w)`."""
        z = self.norm(x)
        if others is None or self.others_norm is None:
            read, read_at, mixed = z, at, self.attention(z)
        else:
            assert others_at is not None
            read, read_at = self.others_norm(others), others_at
            mixed = self.attention(z, read)
        if self.neighbours is not None and self.merge is not None:
            mixed = self.merge(torch.cat([mixed, self.neighbours(z, at, read, read_at)], -1))
        out: Tensor = x + mixed
        return out


class FeedForward(nn.Module):
    """x + feed_forward(norm(x))."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.norm, self.feed = nn.LayerNorm(width), feed_forward(width, hidden, 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """`(b, n, w)` -> `(b, n, w)`."""
        out: Tensor = x + self.feed(self.norm(x))
        return out


class EncoderBlock(nn.Module):
    """Self attention, beside what `count` neighbours say if there is such a number, and a feed-forward part."""

    def __init__(self, attention: nn.Module, width: int, hidden: int, count: int | None) -> None:
        super().__init__()
        self.own, self.feed = Branch(attention, width, count), FeedForward(width, hidden)

    def forward(self, x: Tensor, at: Tensor) -> Tensor:
        """x `(b, n, w)` at `(b, n, 3)` -> `(b, n, w)`."""
        out: Tensor = self.feed(self.own(x, at))
        return out


class DecoderBlock(nn.Module):
    """Self attention, cross attention to the encoded view, both as in `EncoderBlock`, and a feed-forward part."""

    def __init__(self, own: nn.Module, cross: nn.Module, width: int, hidden: int, count: int | None) -> None:
        super().__init__()
        self.own, self.cross = Branch(own, width, count), Branch(cross, width, count, cross=True)
        self.feed = FeedForward(width, hidden)

    def forward(self, x: Tensor, at: Tensor, view: Tensor, view_at: Tensor) -> Tensor:
        """x `(b, n, w)` at `(b, n, 3)` and the view `(b, m, w)` at `(b, m, 3)` -> `(b, n, w)`."""
        out: Tensor = self.feed(self.cross(self.own(x, at), at, view, view_at))
        return out


class Completion(nn.Module):
    """The points of a view -> a coarse cloud and a fine one.

    Args:
        task: Sizes of the model.
        attention: The mechanism under test.
        pattern: The pattern under test, `noncausal_self` or `noncausal_cross`.
    """

    grid: Tensor

    def __init__(self, task: Pcc, attention: Attention, pattern: Pattern) -> None:
        super().__init__()
        width, hidden, near = task.width, task.feed_forward, task.neighbours
        self.proxies, self.queries, self.group = task.proxies, task.queries, near
        self.layers = AttentionLayers(
            attention, pattern, width=width, heads=task.heads, length=task.proxies, options=task.options
        )
        self.points = nn.Sequential(nn.Linear(2 * PLACE, width), nn.LeakyReLU(0.2), nn.Linear(width, width))
        self.surroundings = Neighbours(width, near)
        self.places = nn.Sequential(nn.Linear(PLACE, width), nn.GELU(), nn.Linear(width, width))
        self.encoder = nn.ModuleList(
            EncoderBlock(self.layers.layer("noncausal_self"), width, hidden, near if place == 0 else None)
            for place in range(task.encoder_layers)
        )
        self.whole = nn.Sequential(nn.Linear(width, 2 * width), nn.LeakyReLU(0.2), nn.Linear(2 * width, 2 * width))
        self.coarse = nn.Sequential(
            nn.Linear(2 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, task.queries * PLACE)
        )
        self.query = nn.Sequential(nn.Linear(2 * width + PLACE, width), nn.LeakyReLU(0.2), nn.Linear(width, width))
        # The decoder's own self attention is never under test, even where its pattern is.
        inner = AttentionLayers(SOFTMAX, pattern, width=width, heads=task.heads, length=task.queries)
        self.decoder = nn.ModuleList(
            DecoderBlock(
                inner.layer("noncausal_self"),
                self.layers.layer("noncausal_cross"),
                width,
                hidden,
                near if place == 0 else None,
            )
            for place in range(task.decoder_layers)
        )
        steps = torch.linspace(-1, 1, task.fold)
        self.register_buffer("grid", torch.cartesian_prod(steps, steps).view(-1, 2), False)
        self.fold = nn.ModuleList(
            nn.Sequential(nn.Linear(3 * width + more, width), nn.ReLU(), nn.Linear(width, PLACE)) for more in (2, PLACE)
        )

    def forward(self, view: Tensor) -> tuple[Tensor, Tensor]:
        """A view `(b, p, 3)` -> coarse points `(b, 2 · queries, 3)`, fewer where the view has fewer, and fine ones `(b, queries · fold² + p, 3)`.

        Both hold points of the view, as in PoinTr: those that are there need not be made.
        """
        at = gathered(view, farthest(view, self.proxies))
        near = gathered(view, nearest(at, view, self.group))
        middle = at[:, :, None].expand_as(near)
        x = self.points(torch.cat([near - middle, middle], -1)).amax(2)
        x = x + self.surroundings(x, at, x, at) + self.places(at)
        for block in self.encoder:
            x = block(x, at)
        whole = self.whole(x).amax(1)
        coarse = self.coarse(whole).view(len(view), self.queries, PLACE)
        y = self.query(torch.cat([whole[:, None].expand(-1, self.queries, -1), coarse], -1)) + self.places(coarse)
        for block in self.decoder:
            y = block(y, coarse, x, at)
        state = torch.cat([y, whole[:, None].expand(-1, self.queries, -1)], -1)
        state = state[:, :, None].expand(-1, -1, len(self.grid), -1)
        grid = self.grid.expand(*state.shape[:2], -1, -1)
        offset = self.fold[1](torch.cat([state, self.fold[0](torch.cat([state, grid], -1))], -1))
        fine = (coarse[:, :, None] + offset).flatten(1, 2)
        some = gathered(view, farthest(view, min(self.queries, view.shape[1])))
        return torch.cat([coarse, some], 1), torch.cat([fine, view], 1)


SOFTMAX = Attention("softmax", "", {})


def nearest(at: Tensor, others: Tensor, count: int) -> Tensor:
    """The numbers of the `count` nearest of others `(b, m, 3)` to each place `(b, n, 3)`: `(b, n, count)`; all of them, if there are fewer."""
    return torch.cdist(at, others).topk(min(count, others.shape[1]), largest=False).indices


def gathered(x: Tensor, rows: Tensor) -> Tensor:
    """Rows `(b, …)` of x `(b, m, w)` -> `(b, …, w)`."""
    flat = rows.flatten(1)
    return x.gather(1, flat[..., None].expand(-1, -1, x.shape[-1])).view(*rows.shape, x.shape[-1])


@torch.no_grad()
def farthest(points: Tensor, count: int) -> Tensor:
    """Farthest point sampling: the first point, then each time the one that is farthest from those chosen; `(b, count)` of `(b, m, 3)`.

    Raises:
        ValueError: There are fewer points.
    """
    if points.shape[1] < count:
        raise ValueError(f"{count} points cannot be chosen from {points.shape[1]}")
    chosen = points.new_zeros(len(points), count, dtype=torch.long)
    distance = points.new_full(points.shape[:2], torch.inf)
    for place in range(1, count):
        last = gathered(points, chosen[:, place - 1 : place])
        distance = torch.minimum(distance, (points - last).square().sum(-1))
        chosen[:, place] = distance.argmax(1)
    return chosen

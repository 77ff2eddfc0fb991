"""The deformable transformer: maps -> encoder -> decoder over groups of tokens. Post-norm, and the order of layers of Deformable DETR."""

import math
from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn

from projects.social_groups.config import Model
from projects.social_groups.decoder_attention import SelfAttention
from projects.social_groups.deformable import DeformableAttention

Move = Callable[[Tensor, Tensor], Tensor]


def sine_positions(rows: int, columns: int, width: int) -> Tensor:
    """Sinusoidal position encoding (width, rows, columns): the first half of the numbers for y, the second for x; wavelengths 2 to 1/10 frames."""
    frequency = math.pi * 20 ** torch.linspace(0, 1, width // 4)
    y = ((torch.arange(rows) + 0.5) / rows)[:, None] * frequency
    x = ((torch.arange(columns) + 0.5) / columns)[:, None] * frequency
    code_y = torch.cat((y.sin(), y.cos()), dim=-1)[:, None].expand(-1, columns, -1)
    code_x = torch.cat((x.sin(), x.cos()), dim=-1)[None].expand(rows, -1, -1)
    return rearrange(torch.cat((code_y, code_x), dim=-1), "r c w -> w r c")


class FeedForward(nn.Module):
    """Two maps with dropout, a residual and a norm behind them."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(model.width, model.feed_forward),
            nn.ReLU(),
            nn.Dropout(model.dropout),
            nn.Linear(model.feed_forward, model.width),
            nn.Dropout(model.dropout),
        )
        self.norm = nn.LayerNorm(model.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.layers(x))


class Cross(nn.Module):
    """Deformable attention with dropout, a residual and a norm behind it. Queries see content and position."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.attention = DeformableAttention(
            width=model.width, heads=model.heads, levels=model.levels, points=model.points
        )
        self.dropout, self.norm = nn.Dropout(model.dropout), nn.LayerNorm(model.width)

    def forward(self, x: Tensor, position: Tensor, reference: Tensor, source: list[Tensor]) -> Tensor:
        return self.norm(x + self.dropout(self.attention(x + position, reference, source)))


class Encoder(nn.Module):
    """Maps (b, channels, rows, columns) -> a level each, (b, w, rows, columns), (b, w, rows / 2, columns / 2), …"""

    def __init__(self, model: Model, channels: int) -> None:
        super().__init__()
        halving = {"kernel_size": 3, "stride": 2, "padding": 1}
        convolutions = [nn.Conv2d(channels, model.width, kernel_size=1)]
        convolutions += [nn.Conv2d(model.width, model.width, **halving) for _ in range(model.levels - 1)]
        norms = (nn.GroupNorm(min(32, model.width // 2), model.width) for _ in range(model.levels))
        self.project = nn.ModuleList(nn.Sequential(*pair) for pair in zip(convolutions, norms, strict=True))
        self.level = nn.Parameter(torch.randn(model.levels, model.width))
        self.layers = nn.ModuleList(
            nn.ModuleList((Cross(model), FeedForward(model))) for _ in range(model.encoder_layers)
        )

    def forward(self, maps: Tensor) -> list[Tensor]:
        levels: list[Tensor] = []
        for project in self.project:
            maps = project(maps)
            levels.append(maps)
        shapes = [level.shape[-2:] for level in levels]
        places = [centres(*shape).to(maps) for shape in shapes]
        positions = [
            sine_positions(*shape, self.level.shape[-1]).to(maps).flatten(1).mT + self.level[number]
            for number, shape in enumerate(shapes)
        ]
        batch = len(maps)
        reference = torch.cat(places)[None].expand(batch, -1, -1)
        position = torch.cat(positions)[None]
        x = torch.cat([level.flatten(2).mT for level in levels], dim=1)
        for cross, feed_forward in self.layers:
            x = feed_forward(cross(x, position, reference, unflattened(x, shapes)))
        return unflattened(x, shapes)


class Decoder(nn.Module):
    """Tokens in layers of self attention, cross attention, feed-forward, each layer looking around where the one before has put its tokens."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                (
                    SelfAttention(
                        model.self_attention,
                        width=model.width,
                        heads=model.heads,
                        dropout=model.dropout,
                        mechanism=model.mechanism,
                    ),
                    Cross(model),
                    FeedForward(model),
                )
            )
            for _ in range(model.decoder_layers)
        )

    def forward(
        self, content: Tensor, position: Tensor, reference: Tensor, source: list[Tensor], move: Move
    ) -> tuple[Tensor, Tensor]:
        """content, position (g, m, w), reference (g, m, 2) -> of every layer the states (l, b, g, m, w) and the references (l, b, g, m, 2) it had.

        `move` says from a layer's states and references where the next layer looks (Deformable DETR's iterative refinement).
        """
        batch, (groups, slots, _) = len(source[0]), content.shape
        x, position, reference = (part[None].expand(batch, -1, -1, -1) for part in (content, position, reference))
        states, references = [], []
        for own, cross, feed_forward in self.layers:
            x = own(x, position)
            flat = cross(x.flatten(1, 2), position.flatten(1, 2), reference.flatten(1, 2), source)
            x = feed_forward(flat).unflatten(1, (groups, slots))
            states.append(x)
            references.append(reference)
            reference = move(x, reference).detach()
        return torch.stack(states), torch.stack(references)


def centres(rows: int, columns: int) -> Tensor:
    """The centres of the pixels of a map (rows · columns, 2), x and y in parts of the frame."""
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
    return torch.stack((x, y), dim=-1).flatten(0, 1)


def unflattened(x: Tensor, shapes: list[torch.Size]) -> list[Tensor]:
    """Tokens (b, n, w) of all levels, one after the other -> a map each."""
    parts = x.split([shape[0] * shape[1] for shape in shapes], dim=1)
    return [part.mT.unflatten(2, shape) for part, shape in zip(parts, shapes, strict=True)]

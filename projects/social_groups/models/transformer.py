"""The deformable transformer: maps -> encoder -> decoder over groups of tokens. Post-norm, and the order of layers of Deformable DETR."""

import math
from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn

from projects.social_groups.config import Model
from projects.social_groups.models.decoder_attention import SelfAttention
from projects.social_groups.models.deformable import DeformableAttention

Move = Callable[[Tensor, Tensor], Tensor]


def sine_positions(rows: int, columns: int, width: int) -> Tensor:
    """Sinusoidal position encoding `(width, rows, columns)`: its first half encodes y, its second x; wavelengths from 2 to 1/10 frames."""
    frequency = math.pi * 20 ** torch.linspace(0, 1, width // 4)
    y = ((torch.arange(rows) + 0.5) / rows)[:, None] * frequency
    x = ((torch.arange(columns) + 0.5) / columns)[:, None] * frequency
    code_y = torch.cat((y.sin(), y.cos()), dim=-1)[:, None].expand(-1, columns, -1)
    code_x = torch.cat((x.sin(), x.cos()), dim=-1)[None].expand(rows, -1, -1)
    return rearrange(torch.cat((code_y, code_x), dim=-1), "r c w -> w r c")


class FeedForward(nn.Module):
    """Two linear layers with dropout, followed by a residual and a norm. (…, w) -> (…, w)."""

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
        out: Tensor = self.norm(x + self.layers(x))
        return out


class CrossAttention(nn.Module):
    """Deformable attention followed by dropout, a residual and a norm. Queries see content and position.

    `forward(x, position, reference, source)` takes tokens and their positions `(b, n, w)`, references `(b, n, 2)` and
    one map per level, and gives `(b, n, w)`.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.attention = DeformableAttention(
            width=model.width, heads=model.heads, levels=model.levels, points=model.points
        )
        self.dropout, self.norm = nn.Dropout(model.dropout), nn.LayerNorm(model.width)

    def forward(self, x: Tensor, position: Tensor, reference: Tensor, source: list[Tensor]) -> Tensor:
        out: Tensor = self.norm(x + self.dropout(self.attention(x + position, reference, source)))
        return out


class EncoderLayer(nn.Module):
    """Every pixel attends to the maps of all levels, then a feed-forward network."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.cross, self.feed_forward = CrossAttention(model), FeedForward(model)

    def forward(self, x: Tensor, position: Tensor, reference: Tensor, source: list[Tensor]) -> Tensor:
        out: Tensor = self.feed_forward(self.cross(x, position, reference, source))
        return out


class DecoderLayer(nn.Module):
    """Self attention among tokens `(b, g, m, w)`, deformable attention to the maps, then a feed-forward network."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.self_attention = SelfAttention(
            model.self_attention,
            width=model.width,
            heads=model.heads,
            dropout=model.dropout,
            mechanism=model.mechanism,
        )
        self.cross, self.feed_forward = CrossAttention(model), FeedForward(model)

    def forward(self, x: Tensor, position: Tensor, reference: Tensor, source: list[Tensor]) -> Tensor:
        x = self.self_attention(x, position)
        attended = self.cross(x.flatten(1, 2), position.flatten(1, 2), reference.flatten(1, 2), source)
        out: Tensor = self.feed_forward(attended)
        return out.reshape(x.shape)


class Encoder(nn.Module):
    """Maps `(b, channels, rows, columns)` -> one map per level, `(b, w, rows, columns)`, `(b, w, rows / 2, columns / 2)`, …"""

    def __init__(self, model: Model, channels: int) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(channels, model.width, kernel_size=1)]
        convolutions += [
            nn.Conv2d(model.width, model.width, kernel_size=3, stride=2, padding=1) for _ in range(model.levels - 1)
        ]
        norms = (nn.GroupNorm(min(32, model.width // 2), model.width) for _ in range(model.levels))
        self.project = nn.ModuleList(nn.Sequential(*pair) for pair in zip(convolutions, norms, strict=True))
        self.level = nn.Parameter(torch.randn(model.levels, model.width))
        self.layers = nn.ModuleList(EncoderLayer(model) for _ in range(model.encoder_layers))

    def forward(self, maps: Tensor) -> list[Tensor]:
        levels: list[Tensor] = []
        for project in self.project:
            maps = project(maps)
            levels.append(maps)
        shapes = [(level.shape[-2], level.shape[-1]) for level in levels]
        references = [centres(*shape).to(maps) for shape in shapes]
        positions = [
            sine_positions(*shape, self.level.shape[-1]).to(maps).flatten(1).mT + self.level[index]
            for index, shape in enumerate(shapes)
        ]
        batch = len(maps)
        reference = torch.cat(references)[None].expand(batch, -1, -1)
        position = torch.cat(positions)[None]
        x = torch.cat([level.flatten(2).mT for level in levels], dim=1)
        for layer in self.layers:
            x = layer(x, position, reference, unflattened(x, shapes))
        return unflattened(x, shapes)


class Decoder(nn.Module):
    """Tokens in layers of self attention, cross attention, feed-forward; each layer looks around where the layer before has put its tokens."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(model) for _ in range(model.decoder_layers))

    def forward(
        self, content: Tensor, position: Tensor, reference: Tensor, source: list[Tensor], move: Move
    ) -> tuple[Tensor, Tensor]:
        """Decode G groups of M tokens.

        Args:
            content: What the tokens begin with, `(g, m, w)`.
            position: Their positional halves, `(g, m, w)`.
            reference: Where the first layer looks, `(g, m, 2)`.
            source: The encoder's maps, one per level.
            move: From a layer's states and references, where the next layer looks (Deformable DETR's iterative
                refinement).

        Returns:
            The states of every layer, `(l, b, g, m, w)`, and the references that it had, `(l, b, g, m, 2)`.
        """
        batch = len(source[0])
        x, position, reference = (part[None].expand(batch, -1, -1, -1) for part in (content, position, reference))
        states, references = [], []
        for layer in self.layers:
            x = layer(x, position, reference, source)
            states.append(x)
            references.append(reference)
            reference = move(x, reference).detach()
        return torch.stack(states), torch.stack(references)


def centres(rows: int, columns: int) -> Tensor:
    """The centres of the pixels of a map, `(rows · columns, 2)`, x and y as fractions of the frame."""
    y, x = torch.meshgrid((torch.arange(rows) + 0.5) / rows, (torch.arange(columns) + 0.5) / columns, indexing="ij")
    return torch.stack((x, y), dim=-1).flatten(0, 1)


def unflattened(x: Tensor, shapes: list[tuple[int, int]]) -> list[Tensor]:
    """Tokens `(b, n, w)` of all levels, one level after the other -> one map per level."""
    parts = torch.split(x, [rows * columns for rows, columns in shapes], dim=1)
    return [rearrange(part, "b (r c) w -> b w r c", r=rows) for part, (rows, _) in zip(parts, shapes, strict=True)]

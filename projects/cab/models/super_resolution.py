"""SR3 (Saharia et al. 2021), in the sizes of the implementation that CAB takes: a UNet that tells the noise in a picture, given a small one.

    y_t = γ_t y_0 + √(1 − γ_t²) ε        γ_t² = Π (1 − β_s) over s ≤ t, β from `first_noise` to `last_noise`

It sees y_t beside the enlarged small picture, and γ, which in training lies anywhere between two steps. Attention is
over the pixels of a feature map, row by row, as tokens; under test are all its layers.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.cab.config import Attention, Sr
from projects.cab.models.layer_under_test import AttentionLayers
from regard.common.patterns import Pattern

COLOURS = 3


class Pixels(nn.Module):
    """x + attention(norm(x)) over the pixels of a feature map as tokens."""

    def __init__(self, attention: nn.Module, channels: int, groups: int) -> None:
        super().__init__()
        self.norm, self.attention = nn.GroupNorm(groups, channels), attention

    def forward(self, x: Tensor) -> Tensor:
        """`(b, c, s, s)` -> `(b, c, s, s)`."""
        tokens = self.norm(x).flatten(2).mT
        out: Tensor = x + self.attention(tokens).mT.reshape(x.shape)
        return out


class Residual(nn.Module):
    """Two convolutions, each after normalisation and SiLU, with the level of the noise added in between."""

    def __init__(self, before: int, after: int, level: int, groups: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(groups, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.level = nn.Linear(level, after)
        self.second = nn.Sequential(
            nn.GroupNorm(groups, after), nn.SiLU(), nn.Dropout(dropout), nn.Conv2d(after, after, 3, padding=1)
        )
        self.shortcut = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """`(b, before, s, s)` and the level `(b, level)` -> `(b, after, s, s)`."""
        h = self.first(x) + self.level(level)[:, :, None, None]
        out: Tensor = self.second(h) + self.shortcut(x)
        return out


class Stage(nn.Module):
    """A residual block, and attention after it where the resolution has some."""

    def __init__(self, block: Residual, attention: nn.Module | None) -> None:
        super().__init__()
        self.block, self.attention = block, attention

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        """As `Residual`."""
        x = self.block(x, level)
        return x if self.attention is None else self.attention(x)


class SuperResolution(nn.Module):
    """The noise in a picture.

    Args:
        task: Sizes of the UNet and its noise.
        attention: The mechanism under test.
        pattern: The pattern under test, noncausal self attention.
    """

    noise: Tensor

    def __init__(self, task: Sr, attention: Attention, pattern: Pattern) -> None:
        super().__init__()
        self.width = task.width
        width, groups, last = task.width, task.groups, len(task.multipliers) - 1
        self.register_buffer("noise", torch.linspace(task.first_noise, task.last_noise, task.steps), False)
        self.layers = AttentionLayers(
            attention, pattern, width=width, heads=task.heads, length=task.high**2, options=task.options
        )
        self.level = nn.Sequential(nn.Linear(width, 4 * width), nn.SiLU(), nn.Linear(4 * width, width))
        self.input = nn.Conv2d(2 * COLOURS, width, 3, padding=1)

        def stage(before: int, after: int, side: int, attends: bool) -> Stage:
            block = Residual(before, after, width, groups, task.dropout)
            if not attends:
                return Stage(block, None)
            layer = self.layers.layer("noncausal_self", width=after, length=side**2)
            return Stage(block, Pixels(layer, after, groups))

        channels, kept = width, [width]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for place, times in enumerate(task.multipliers):
            side = task.high // 2**place
            for _ in range(task.blocks):
                self.down.append(stage(channels, width * times, side, side in task.attention_at))
                channels = width * times
                kept.append(channels)
            if place < last:
                self.down.append(nn.Conv2d(channels, channels, 3, stride=2, padding=1))
                kept.append(channels)
        side = task.high // 2**last
        self.middle = nn.ModuleList([stage(channels, channels, side, True), stage(channels, channels, side, False)])
        for place, times in reversed(list(enumerate(task.multipliers))):
            side = task.high // 2**place
            for _ in range(task.blocks + 1):
                self.up.append(stage(channels + kept.pop(), width * times, side, side in task.attention_at))
                channels = width * times
            if place:
                self.up.append(nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(channels, channels, 3, padding=1)))
        self.output = nn.Sequential(
            nn.GroupNorm(groups, channels), nn.SiLU(), nn.Conv2d(channels, COLOURS, 3, padding=1)
        )

    def forward(self, seen: Tensor, noisy: Tensor, level: Tensor) -> Tensor:
        """The enlarged small picture and the noisy one, both `(b, 3, s, s)`, and γ `(b,)` -> the noise `(b, 3, s, s)`."""
        level = self.level(sines(level, self.width))
        x = self.input(torch.cat([seen, noisy], 1))
        kept = [x]
        for part in self.down:
            x = part(x, level) if isinstance(part, Stage) else part(x)
            kept.append(x)
        for part in self.middle:
            x = part(x, level)
        for part in self.up:
            x = part(torch.cat([x, kept.pop()], 1), level) if isinstance(part, Stage) else part(x)
        out: Tensor = self.output(x)
        return out

    def levels(self) -> Tensor:
        """γ before the first step and after each, `(steps + 1,)`, falling from 1."""
        return torch.cat([self.noise.new_ones(1), (1 - self.noise).cumprod(0).sqrt()])

    def between(self, draw: Tensor) -> Tensor:
        """γ of draws in [0, 1): a step, and a place between it and the one before."""
        levels, place = self.levels(), draw * len(self.noise)
        step = place.long().clamp(max=len(self.noise) - 1)
        return levels[step] + (place - step) * (levels[step + 1] - levels[step])

    @torch.no_grad()
    def sample(self, seen: Tensor, generator: torch.Generator) -> Tensor:
        """A picture for each small one: from noise, step by step, each time the picture that the noise implies within -1 and 1.

        Args:
            seen: `(b, 3, s, s)`.
            generator: Of all draws, on the CPU, so that every device draws the same.

        Returns:
            `(b, 3, s, s)`, within -1 and 1.
        """
        levels = self.levels()

        def draw() -> Tensor:
            return torch.randn(seen.shape, generator=generator).to(seen)

        y = draw()
        for step in range(len(self.noise), 0, -1):
            now, before, beta = levels[step], levels[step - 1], self.noise[step - 1]
            noise = self(seen, y, now.expand(len(seen)))
            clean = ((y - (1 - now**2).sqrt() * noise) / now).clamp(-1, 1)
            rest = 1 - now**2
            y = (before * beta * clean + (1 - beta).sqrt() * (1 - before**2) * y) / rest
            if step > 1:
                y = y + (beta * (1 - before**2) / rest).sqrt() * draw()
        return y.clamp(-1, 1)


def sines(level: Tensor, width: int) -> Tensor:
    """γ `(b,)` -> sines and cosines `(b, width)`, as of positions (Chen et al. 2020)."""
    steps = torch.arange(width // 2, device=level.device) / (width // 2)
    angles = level[:, None] * torch.exp(-math.log(1e4) * steps)
    return torch.cat([angles.sin(), angles.cos()], 1)


def noisy(wanted: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """A picture with noise: γ y + √(1 − γ²) ε."""
    level = level[:, None, None, None]
    return level * wanted + (1 - level**2).sqrt() * noise


def noise_loss(model: SuperResolution, seen: Tensor, wanted: Tensor, draw: Tensor, noise: Tensor) -> Tensor:
    """Mean absolute error of the noise, as in the implementation that CAB takes."""
    level = model.between(draw)
    return F.l1_loss(model(seen, noisy(wanted, noise, level), level), noise)

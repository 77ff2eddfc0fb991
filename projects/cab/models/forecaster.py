"""An encoder–decoder like Informer (Zhou et al. 2021), which gives all of a forecast at once.

The encoder reads the last known steps, and halves their number between its blocks; the decoder gets the last
`label_length` of them and `horizon` empty ones with their clock. Under test is the encoder's self attention or the
decoder's cross attention; the decoder's own self attention is causal softmax attention.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.cab.config import Attention, Lstf
from projects.cab.data.series import CLOCK
from projects.cab.models.blocks import CrossBlock, SelfBlock, positions
from projects.cab.models.layer_under_test import AttentionLayers, softmax_layer
from regard.common.patterns import Pattern


class Forecaster(nn.Module):
    """Known values and their clock, the horizon's clock -> the horizon's values.

    Args:
        task: Lengths and sizes of the model.
        attention: The mechanism under test.
        pattern: The pattern under test, `noncausal_self` or `noncausal_cross`.
        channels: How many series are forecast together, c.
    """

    positions: Tensor

    def __init__(self, task: Lstf, attention: Attention, pattern: Pattern, channels: int) -> None:
        super().__init__()
        self.label_length, self.horizon, width = task.label_length, task.horizon, task.width
        self.centred = task.centre == "last"
        self.values = nn.ModuleList(nn.Conv1d(channels, width, 3, padding=1, padding_mode="circular") for _ in range(2))
        self.clocks = nn.ModuleList(nn.Linear(CLOCK, width) for _ in range(2))
        self.register_buffer("positions", positions(max(task.length, task.label_length + task.horizon), width), False)

        self.layers = AttentionLayers(
            attention, pattern, width=width, heads=task.heads, length=task.length, options=task.options
        )
        self.encoder = nn.ModuleList(
            SelfBlock(self.layers.layer("noncausal_self"), width=width, hidden=task.feed_forward, dropout=task.dropout)
            for _ in range(task.encoder_layers)
        )
        self.distil = nn.ModuleList(Distil(width) for _ in range(task.encoder_layers - 1))
        self.decoder = nn.ModuleList(
            CrossBlock(
                softmax_layer("causal_self", width=width, heads=task.heads),
                self.layers.layer("noncausal_cross"),
                width=width,
                hidden=task.feed_forward,
                dropout=task.dropout,
            )
            for _ in range(task.decoder_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.output = nn.Linear(width, channels)

    def forward(self, known: Tensor, clock: Tensor, coming: Tensor) -> Tensor:
        """Known values `(b, length, c)`, clocks `(b, length, 4)` and `(b, horizon, 4)` -> forecast `(b, horizon, c)`."""
        level = known[:, -1:] if self.centred else torch.zeros_like(known[:, -1:])
        known = known - level
        source = self.embed(0, known, clock)
        for number, block in enumerate(self.encoder):
            source = block(source)
            if number < len(self.distil):
                source = self.distil[number](source)
        source = self.norms[0](source)
        start = known[:, known.shape[1] - self.label_length :]
        empty = known.new_zeros(len(known), self.horizon, known.shape[2])
        clocks = torch.cat([clock[:, clock.shape[1] - self.label_length :], coming], 1)
        x = self.embed(1, torch.cat([start, empty], 1), clocks)
        for block in self.decoder:
            x = block(x, source)
        forecast: Tensor = self.output(self.norms[1](x))
        return forecast[:, self.label_length :] + level

    def embed(self, side: int, values: Tensor, clock: Tensor) -> Tensor:
        """Values and clock as the encoder's (`side` 0) or the decoder's (1) input, with positions."""
        x: Tensor = self.values[side](values.mT).mT + self.clocks[side](clock)
        return x + self.positions[: values.shape[1]]


class Distil(nn.Module):
    """Half the length between two blocks of the encoder: convolution, batch normalisation, ELU, maximum over neighbours
    (Informer, equation 5, with the normalisation of its released code)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(width, width, 3, padding=1, padding_mode="circular")
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        """`(b, n, w)` -> `(b, ⌈n / 2⌉, w)`."""
        return F.max_pool1d(F.elu(self.norm(self.convolution(x.mT))), 3, stride=2, padding=1).mT

"""FastSpeech 2 (Ren et al. 2021): speech from symbols in one go, pre-norm.

    symbols → encoder → + pitch, + energy → each state as often as its symbol has frames → decoder → log-mels

Predictors tell durations, pitch and energy from the encoder's states; training gives the decoder the true ones. Under
test are all self attentions, the encoder's over symbols and the decoder's over frames.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.cab.config import Attention, Speech
from projects.cab.models.blocks import Convolution, ConvolutionalBlock, embedded, positions
from projects.cab.models.layer_under_test import AttentionLayers
from regard.common.patterns import Pattern

WIDEST = 3.0  # standard deviations of pitch and energy between the outer bins' borders


@dataclass(frozen=True)
class Spoken:
    """What a model makes of symbols `(b, s)`.

    Attributes:
        mels: Normalised log-mels, `(b, f, mels)`.
        mask: Which of their frames there are, `(b, f)`.
        log_durations: The predicted logarithm of 1 + frames of each symbol, `(b, s)`.
        pitch: Predicted, `(b, s)`.
        energy: Predicted, `(b, s)`.
    """

    mels: Tensor
    mask: Tensor
    log_durations: Tensor
    pitch: Tensor
    energy: Tensor


class Predictor(nn.Module):
    """One value per symbol: two convolutions with ReLU, layer norm and dropout, and a map to a number."""

    def __init__(self, width: int, hidden: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList([Convolution(width, hidden, kernel), Convolution(hidden, hidden, kernel)])
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))
        self.dropout = nn.Dropout(dropout)
        self.value = nn.Linear(hidden, 1)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x `(b, s, w)` and its mask `(b, s)` -> `(b, s)`, 0 where the mask is."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = self.dropout(norm(convolution(x, mask).relu()))
        out: Tensor = self.value(x).squeeze(-1).masked_fill(~mask, 0.0)
        return out


class FastSpeech2Model(nn.Module):
    """Symbols -> log-mels.

    Args:
        task: Sizes of the model and of what it reads and makes.
        attention: The mechanism under test.
        pattern: The pattern under test; the model has noncausal self attention alone.
        kinds: How many symbols there are, padding included.
    """

    positions: Tensor
    borders: Tensor

    def __init__(self, task: Speech, attention: Attention, pattern: Pattern, kinds: int) -> None:
        super().__init__()
        sizes = task.fastspeech2
        width, self.most_frames = sizes.width, task.most_frames
        self.layers = AttentionLayers(
            attention, pattern, width=width, heads=sizes.heads, length=task.most_frames, options=task.options
        )
        self.embedding = nn.Embedding(kinds, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.register_buffer("positions", positions(max(task.most_symbols, task.most_frames), width), False)
        self.register_buffer("borders", torch.linspace(-WIDEST, WIDEST, sizes.bins - 1), False)

        def blocks(count: int, length: int) -> nn.ModuleList:
            return nn.ModuleList(
                ConvolutionalBlock(
                    self.layers.layer("noncausal_self", length=length),
                    width=width,
                    hidden=sizes.feed_forward,
                    kernel=sizes.kernel,
                    dropout=task.dropout,
                )
                for _ in range(count)
            )

        self.encoder = blocks(sizes.encoder_layers, task.most_symbols)
        self.decoder = blocks(sizes.decoder_layers, task.most_frames)
        self.predictors = nn.ModuleList(
            Predictor(width, sizes.predictor_width, sizes.predictor_kernel, task.dropout) for _ in range(3)
        )
        self.traits = nn.ModuleList(nn.Embedding(sizes.bins, width) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.mels = nn.Linear(width, task.mels)

    def forward(self, symbols: Tensor, given: tuple[Tensor, Tensor, Tensor] | None = None) -> Spoken:
        """Symbols `(b, s)`, and durations (frames), pitch and energy `(b, s)` in place of the predicted ones."""
        mask = symbols != 0
        x = embedded(self.embedding, symbols, self.positions)
        for block in self.encoder:
            x = block(x, mask)
        x = self.norms[0](x)
        log_durations = self.predictors[0](x, mask)
        durations = given[0] if given else self.whole(log_durations, mask)
        predicted = []
        for place, (predictor, trait) in enumerate(zip(self.predictors[1:], self.traits, strict=True)):
            values = predictor(x, mask)
            x = x + trait(torch.bucketize((given[1 + place] if given else values).contiguous(), self.borders))
            predicted.append(values)
        frames, frame_mask = spread(x, durations)
        frames = frames + self.positions[: frames.shape[1]]
        for block in self.decoder:
            frames = block(frames, frame_mask)
        mels = self.mels(self.norms[1](frames)).masked_fill(~frame_mask[..., None], 0.0)
        return Spoken(mels, frame_mask, log_durations, *predicted)

    def whole(self, log_durations: Tensor, mask: Tensor) -> Tensor:
        """Durations in whole frames `(b, s)`: 1 at least for each symbol, and cut off where an utterance is as long as it may be."""
        durations = (log_durations.exp() - 1).round().long().clamp(1, self.most_frames).masked_fill(~mask, 0)
        ends = durations.cumsum(1).clamp(max=self.most_frames)
        return ends.diff(dim=1, prepend=torch.zeros_like(ends[:, :1]))


def spread(x: Tensor, durations: Tensor) -> tuple[Tensor, Tensor]:
    """Each state as often as it has frames.

    Args:
        x: States `(b, s, w)`.
        durations: Frames of each, `(b, s)`, whole numbers.

    Returns:
        `(b, f, w)` and which of them there are, `(b, f)`; f is the longest of the batch.
    """
    ends = durations.cumsum(1)
    at = torch.arange(int(ends[:, -1].max()), device=x.device)
    members = (at[:, None] < ends[:, None]) & (at[:, None] >= (ends - durations)[:, None])  # (b, f, s)
    return members.to(x.dtype) @ x, at < ends[:, -1:]


def losses_of(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Mean absolute error of mels, and mean squared errors of log-durations, pitch and energy; the loss is their sum."""
    symbols, durations, pitch, energy, mels = batch
    spoken: Spoken = model(symbols, (durations, pitch, energy))
    there, asked = spoken.mask, symbols != 0
    found = {
        "mel": F.l1_loss(spoken.mels[there], mels[:, : spoken.mels.shape[1]][there]),
        "duration": F.mse_loss(spoken.log_durations[asked], (durations[asked] + 1).to(mels.dtype).log()),
        "pitch": F.mse_loss(spoken.pitch[asked], pitch[asked]),
        "energy": F.mse_loss(spoken.energy[asked], energy[asked]),
    }
    return {"loss": torch.stack(list(found.values())).sum(), **found}


@torch.inference_mode()
def speak(model: FastSpeech2Model, symbols: Tensor) -> list[Tensor]:
    """The log-mels `(f_i, mels)` of each text of symbols `(b, s)`, with the predicted durations."""
    spoken = model(symbols)
    return [mels[: int(count)] for mels, count in zip(spoken.mels, spoken.mask.sum(1), strict=True)]

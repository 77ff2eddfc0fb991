"""Transformer-TTS (Li et al. 2019): speech from symbols a few frames at a time, pre-norm.

    symbols → convolutions → encoder
    frames so far → prenet → decoder, which sees the encoded symbols → the next r frames, and whether they are the last
    all frames → + postnet

Under test is the encoder's self attention, the decoder's, or its cross attention; the other two are softmax attention.
"""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.cab.config import Attention, Speech
from projects.cab.models.blocks import Convolution, CrossBlock, SelfBlock, positions
from projects.cab.models.layer_under_test import AttentionLayers
from regard.common.patterns import Pattern


class Convolutions(nn.Module):
    """Convolutions with layer norm, an activation and dropout; the last of a postnet is bare.

    Args:
        widths: Channels before, between and after them.
        kernel: Of all.
        dropout: The share of activations that is dropped after each.
        activation: After each norm.
        bare: Whether the last convolution has nothing after it.
    """

    def __init__(
        self, widths: list[int], kernel: int, dropout: float, activation: type[nn.Module], *, bare: bool
    ) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.convolutions = nn.ModuleList(Convolution(*pair, kernel) for pair in pairs)
        self.after = nn.ModuleList(
            nn.Identity()
            if bare and place == len(pairs)
            else nn.Sequential(nn.LayerNorm(width), activation(), nn.Dropout(dropout))
            for place, (_, width) in enumerate(pairs, start=1)
        )

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x `(b, n, first width)` and its mask `(b, n)` -> `(b, n, last width)`."""
        for convolution, after in zip(self.convolutions, self.after, strict=True):
            x = after(convolution(x, mask))
        return x


class TransformerTtsModel(nn.Module):
    """Symbols and the frames so far -> the next frames.

    A step's r frames are one vector of r · mels values, as in the released code.

    Args:
        task: Sizes of the model and of what it reads and makes.
        attention: The mechanism under test.
        pattern: The pattern under test.
        kinds: How many symbols there are, padding included.
    """

    positions: Tensor

    def __init__(self, task: Speech, attention: Attention, pattern: Pattern, kinds: int) -> None:
        super().__init__()
        sizes = task.transformer_tts
        width, hidden, dropout = sizes.width, sizes.feed_forward, task.dropout
        self.frames_per_step, self.mels = sizes.frames_per_step, task.mels
        self.most_steps = task.most_frames // sizes.frames_per_step
        symbols, channels = task.most_symbols, sizes.frames_per_step * task.mels
        self.layers = AttentionLayers(
            attention,
            pattern,
            width=width,
            heads=sizes.heads,
            length=self.most_steps if pattern == "causal_self" else symbols,
            options=task.options,
        )
        self.embedding = nn.Embedding(kinds, width)
        self.register_buffer("positions", positions(max(symbols, self.most_steps), width), False)
        self.convolutions = Convolutions(
            [width] * (sizes.convolutions + 1), sizes.kernel, sizes.prenet_dropout, nn.ReLU, bare=False
        )
        self.projection = nn.Linear(width, width)
        self.encoder = nn.ModuleList(
            SelfBlock(self.layers.layer("noncausal_self"), width=width, hidden=hidden, dropout=dropout)
            for _ in range(sizes.encoder_layers)
        )
        self.prenet = nn.Sequential(
            *(nn.Linear(channels, sizes.prenet), nn.ReLU(), nn.Dropout(sizes.prenet_dropout)),
            *(nn.Linear(sizes.prenet, sizes.prenet), nn.ReLU(), nn.Dropout(sizes.prenet_dropout)),
            nn.Linear(sizes.prenet, width),
        )
        self.decoder = nn.ModuleList(
            CrossBlock(
                self.layers.layer("causal_self"),
                self.layers.layer("causal_cross"),
                width=width,
                hidden=hidden,
                dropout=dropout,
            )
            for _ in range(sizes.decoder_layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.frames, self.stop = nn.Linear(width, channels), nn.Linear(width, 1)
        self.postnet = Convolutions(
            [channels, *[sizes.postnet] * (sizes.postnet_layers - 1), channels],
            sizes.kernel,
            sizes.prenet_dropout,
            nn.Tanh,
            bare=True,
        )

    def forward(self, symbols: Tensor, steps: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is made of true frames.

        Args:
            symbols: `(b, s)`.
            steps: The true frames, `(b, n, r · mels)`.
            mask: Which of the steps there are, `(b, n)`.

        Returns:
            Frames before the postnet and after it, `(b, n, r · mels)`, and logits of the stop token, `(b, n)`.
        """
        before = F.pad(steps[:, :-1], (0, 0, 1, 0))  # the first step sees zeros
        text_mask = symbols != 0
        frames, stop = self.decode(self.encode(symbols, text_mask), text_mask, before, mask)
        return frames, frames + self.postnet(frames, mask), stop

    def encode(self, symbols: Tensor, mask: Tensor) -> Tensor:
        """Symbols `(b, s)` and their mask -> `(b, s, width)`."""
        x = self.projection(self.convolutions(self.embedding(symbols), mask)) + self.positions[: symbols.shape[1]]
        for block in self.encoder:
            x = block(x, mask)
        out: Tensor = self.norms[0](x)
        return out

    def decode(self, context: Tensor, context_mask: Tensor, before: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The frames of each step before the postnet, and its stop logit.

        Args:
            context: The encoded text, `(b, s, width)`.
            context_mask: Its mask, `(b, s)`.
            before: What came before each step, `(b, n, r · mels)`: zeros, and then the steps but the last.
            mask: Of the steps, `(b, n)`.

        Returns:
            `(b, n, r · mels)` and `(b, n)`.
        """
        x = self.prenet(before) + self.positions[: before.shape[1]]
        for block in self.decoder:
            x = block(x, context, mask, context_mask)
        x = self.norms[1](x)
        return self.frames(x), self.stop(x).squeeze(-1)

    def steps(self, mels: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mels `(b, f, mels)`, of which so many `frames` `(b,)` are there -> steps `(b, n, r · mels)` and their mask `(b, n)`.

        Frames at the end that fill no step are left out, as in the released code.
        """
        count = frames // self.frames_per_step
        longest = int(count.max())
        mask = torch.arange(longest, device=mels.device) < count[:, None]
        packed = mels[:, : longest * self.frames_per_step].reshape(len(mels), longest, -1)
        return packed.masked_fill(~mask[..., None], 0.0), mask


def losses_of(model: nn.Module, batch: tuple[Tensor, ...], stop_weight: float) -> dict[str, Tensor]:
    """Absolute and squared errors of frames before and after the postnet, and the cross entropy of the stop token; the loss is their sum."""
    assert isinstance(model, TransformerTtsModel)
    symbols, durations, _, _, mels = batch
    steps, mask = model.steps(mels, durations.sum(1))
    *made, stop = model(symbols, steps, mask)
    last = mask & ~F.pad(mask[:, 1:], (0, 1))
    found = {
        "l1": torch.stack([F.l1_loss(frames[mask], steps[mask]) for frames in made]).sum(),
        "mse": torch.stack([F.mse_loss(frames[mask], steps[mask]) for frames in made]).sum(),
        "stop": F.binary_cross_entropy_with_logits(
            stop[mask], last[mask].to(mels.dtype), pos_weight=torch.full((1,), stop_weight, device=mels.device)
        ),
    }
    return {"loss": torch.stack(list(found.values())).sum(), **found}


@torch.inference_mode()
def speak(model: TransformerTtsModel, symbols: Tensor) -> list[Tensor]:
    """The log-mels `(f_i, mels)` of each text of symbols `(b, s)`, step by step until the stop token is likelier than not.

    Every step reads the frames so far anew, so that any mechanism can be decoded. An utterance that does not stop ends
    at the most frames that the task allows.
    """
    mask = symbols != 0
    context = model.encode(symbols, mask)
    made = context.new_zeros(len(symbols), 1, model.frames_per_step * model.mels)
    steps = torch.full((len(symbols),), model.most_steps, device=symbols.device)
    for step in range(1, model.most_steps + 1):
        frames, stop = model.decode(context, mask, made, torch.ones_like(made[..., 0], dtype=torch.bool))
        made = torch.cat([made, frames[:, -1:]], 1)
        steps = torch.where((stop[:, -1] > 0) & (steps == model.most_steps), step, steps)
        if bool((steps <= step).all()):
            break
    made = made[:, 1:]
    there = torch.arange(made.shape[1], device=symbols.device) < steps[:, None]
    made = made + model.postnet(made, there)
    return [mels[: int(count)].reshape(-1, model.mels) for mels, count in zip(made, steps, strict=True)]

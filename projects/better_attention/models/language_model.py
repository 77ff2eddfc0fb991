"""A small causal language model with the blocks of the authors' release: pre-norm RMSNorm, rotary positions, gated feed-forward part, no biases."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.better_attention.config import Data, LanguageModel, Model
from projects.better_attention.models.layers import initialise_mixing, library_name
from projects.better_attention.models.rotary import rotary_layer, state_bytes

INITIAL_SD = 0.02  # [authors' release]


class Block(nn.Module):
    """x + attention(norm(x)), then x + down(silu(gate(norm(x))) · up(norm(x)))."""

    def __init__(self, model: Model, language_model: LanguageModel, length: int) -> None:
        super().__init__()
        width, hidden, bias = model.width, model.hidden[0], language_model.bias
        self.attention = rotary_layer(
            library_name(model.attention),
            width=width,
            heads=model.heads,
            length=length,
            base=language_model.rotary_base,
            bias=bias,
        )
        self.gate, self.up = (nn.Linear(width, hidden, bias=bias) for _ in range(2))
        self.down = nn.Linear(hidden, width, bias=bias)
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=model.norm_epsilon) for _ in range(2))
        self.dropout = nn.Dropout(model.dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self._feed_forward(x + self.dropout(self.attention(self.norms[0](x))))

    def step(self, x: Tensor, state: object) -> tuple[Tensor, object]:
        """One token (b, 1, w) and the state after those before it -> its output, and the state after it."""
        out, state = self.attention.step(self.norms[0](x), state)
        return self._feed_forward(x + out), state

    def _feed_forward(self, x: Tensor) -> Tensor:
        z = self.norms[1](x)
        out: Tensor = self.dropout(self.down(F.silu(self.gate(z)) * self.up(z)))
        return x + out


class CausalLanguageModel(nn.Module):
    """Subwords (b, n) int64 -> logits of the next ones (b, n, vocabulary)."""

    def __init__(self, data: Data, model: Model, language_model: LanguageModel) -> None:
        super().__init__()
        assert data.vocabulary is not None
        assert data.length is not None
        self.embedding = nn.Embedding(data.vocabulary, model.width)
        self.blocks = nn.ModuleList(Block(model, language_model, data.length) for _ in range(model.blocks))
        self.norm = nn.RMSNorm(model.width, eps=model.norm_epsilon)
        self.output = nn.Linear(model.width, data.vocabulary, bias=False)
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.normal_(part.weight, std=INITIAL_SD)
        # W^A is initialised as in the library, Xavier-uniform, if not as the identity: the release has none, so its own start is not known.
        for block in self.blocks:
            if (mixing := getattr(block.attention, "mixing", None)) is not None:
                nn.init.xavier_uniform_(mixing.weight)
        initialise_mixing(self, model.attention)

    def forward(self, subwords: Tensor) -> Tensor:
        x = self.embedding(subwords)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.output(self.norm(x))
        return logits

    def step(self, subwords: Tensor, state: tuple[object, ...] | None = None) -> tuple[Tensor, tuple[object, ...]]:
        """One subword of each sequence, after those before it.

        Args:
            subwords: `(b, 1)`.
            state: The states of the blocks after the subwords before it. Default: None, for the first.

        Returns:
            Logits `(b, 1, vocabulary)`, and the states for the next subword.
        """
        x, states = self.embedding(subwords), []
        for number, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            x, after = block.step(x, None if state is None else state[number])
            states.append(after)
        return self.output(self.norm(x)), tuple(states)


@torch.inference_mode()
def cache_bytes_per_token(model: CausalLanguageModel, subwords: Tensor) -> float:
    """Bytes that the model's state holds after a window (n,) of subwords, fed one by one, divided by n."""
    model.eval()
    state: tuple[object, ...] | None = None
    for subword in subwords.to(next(model.parameters()).device):
        _, state = model.step(subword.view(1, 1), state)
    return state_bytes(state) / len(subwords)

"""A small causal language model with the blocks of the authors' release: pre-norm RMSNorm, rotary positions, gated feed-forward part, no biases.

Perplexity is per subword, over a novel that training never saw, cut into windows of the context without any text before a window.
"""

import functools
import math
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.better_attention.config import Config, Data
from projects.better_attention.controls import begin_mixing, library_name
from projects.better_attention.fitting import EVALUATION_BATCH, check_sequences, fitted, latency_ms
from projects.better_attention.learning import some
from projects.better_attention.rotary import rotary_layer, state_bytes
from projects.better_attention.subwords import LEAST, encoded, learnt
from regard_lab import data
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.trainer import evaluate, load_weights, loader

START_SD = 0.02  # [authors' release]


def train(config: Config, folder: Path) -> RunResult:
    """Train the configured model; its perplexity by the epoch of least validation loss and by the last one, and what its state keeps of a token."""
    assert config.lm is not None
    wanted = {"train": config.budget.train_examples}
    parts = {
        split: some((rows,), wanted.get(split, config.lm.held_out))
        for split, rows in windows(config.data, Path.cwd()).items()
    }
    torch.manual_seed(config.seed)
    model = LanguageModel(config)
    task, history = fitted(model, score, parts, config, folder)
    test = loader(parts["test"], EVALUATION_BATCH)
    load_weights(task, folder, "last")
    last = evaluate(task, test)["loss"]
    load_weights(task, folder, "best")
    nats = evaluate(task, test)["loss"]
    curves = {name: [epoch[name] for epoch in history.epochs] for name in ("train_loss", "validation_loss")}
    return RunResult(
        metrics={
            "attention_parameters": float(model.attention_parameters()),
            "test_loss": nats,
            "test_perplexity": math.exp(nats),
            "last_epoch_test_perplexity": math.exp(last),
            "cache_bytes": cache_bytes_a_token(model, parts["test"][0][0, :-1]),
            "seconds_per_epoch": median([epoch["train_time_s"] for epoch in history.epochs]),
            "latency_ms": latency_ms(model, (parts["test"][0][:, :-1].long(),), config.budget.repeats),
        },
        curves=curves,
    )


class Block(nn.Module):
    """x + attention(norm(x)), then x + down(silu(gate(norm(x))) · up(norm(x)))."""

    def __init__(self, config: Config, length: int) -> None:
        super().__init__()
        model, own = config.model, config.lm
        assert own is not None
        width, hidden = model.width, model.hidden[0]
        self.attention = rotary_layer(
            library_name(model.attention),
            width=width,
            heads=model.heads,
            length=length,
            base=own.rotary_base,
            bias=own.bias,
        )
        self.gate, self.up = (nn.Linear(width, hidden, bias=own.bias) for _ in range(2))
        self.down = nn.Linear(hidden, width, bias=own.bias)
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=model.norm_epsilon) for _ in range(2))
        self.dropout = nn.Dropout(model.dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self._fed(x + self.dropout(self.attention(self.norms[0](x))))

    def step(self, x: Tensor, state: object) -> tuple[Tensor, object]:
        """One token (b, 1, w)."""
        out, state = self.attention.step(self.norms[0](x), state)
        return self._fed(x + out), state

    def _fed(self, x: Tensor) -> Tensor:
        z = self.norms[1](x)
        return x + self.dropout(self.down(F.silu(self.gate(z)) * self.up(z)))


class LanguageModel(nn.Module):
    """Subwords (b, n) int64 -> logits of the next ones (b, n, vocabulary)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        vocabulary, length, model = config.data.vocabulary, config.data.length, config.model
        assert vocabulary is not None
        assert length is not None
        self.embedding = nn.Embedding(vocabulary, model.width)
        self.blocks = nn.ModuleList(Block(config, length) for _ in range(model.blocks))
        self.norm = nn.RMSNorm(model.width, eps=model.norm_epsilon)
        self.output = nn.Linear(model.width, vocabulary, bias=False)
        for part in self.modules():
            if isinstance(part, nn.Linear | nn.Embedding):
                nn.init.normal_(part.weight, std=START_SD)
        self._begin_mixing(model.attention)

    def _begin_mixing(self, attention: str) -> None:
        """W^A starts as the library has it, Xavier-uniform, if not as the identity: how the release would start it is not known, for it has none."""
        for block in self.blocks:
            if (mixing := getattr(block.attention, "mixing", None)) is not None:
                nn.init.xavier_uniform_(mixing.weight)
        begin_mixing(self, attention)

    def forward(self, subwords: Tensor) -> Tensor:
        x = self.embedding(subwords)
        for block in self.blocks:
            x = block(x)
        return self.output(self.norm(x))

    def step(self, subwords: Tensor, state: tuple[object, ...] | None = None) -> tuple[Tensor, tuple[object, ...]]:
        """One subword of each sequence (b, 1), and the states of the blocks so far -> logits (b, 1, vocabulary), next states."""
        x, states = self.embedding(subwords), []
        for number, block in enumerate(self.blocks):
            x, own = block.step(x, None if state is None else state[number])
            states.append(own)
        return self.output(self.norm(x)), tuple(states)

    def attention_parameters(self) -> int:
        """Parameters of the attention layers, all blocks together."""
        return sum(p.numel() for block in self.blocks for p in block.attention.parameters())


@torch.inference_mode()
def cache_bytes_a_token(model: LanguageModel, subwords: Tensor) -> float:
    """Bytes of the model's state after a window (n,) of subwords, fed one after the other, over n."""
    model.eval()
    state = None
    for subword in subwords.to(next(model.parameters()).device):
        _, state = model.step(subword.view(1, 1), state)
    return state_bytes(state) / len(subwords)


def score(model: nn.Module, batch: tuple[Tensor]) -> dict[str, Tensor]:
    """Nats a subword of windows (b, n + 1)."""
    (window,) = batch
    window = window.long()
    return {"loss": F.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())}


def windows(config: Data, root: Path) -> dict[str, Tensor]:
    """Each split's text as windows (n, length + 1) int32 that follow each other, the last subword of one the first of the next."""
    assert config.vocabulary is not None
    assert config.length is not None
    return _windows(config.name, config.source, config.vocabulary, config.length, root)


@functools.cache
def _windows(name: str, source: str, vocabulary: int, length: int, root: Path) -> dict[str, Tensor]:
    loaded = data.load(name, root, source)
    tokenizer = learnt(loaded["train"].texts, vocabulary)
    found = {}
    for split, texts in loaded.items():
        numbers = torch.tensor([number for ids in encoded(tokenizer, texts.texts) for number in ids], dtype=torch.int32)
        if len(numbers) <= length:
            raise ValueError(f"{split} of {name} has {len(numbers)} subwords, a window needs {length} + 1")
        found[split] = numbers.unfold(0, length + 1, length).clone()
    return found


def check(config: Config) -> None:
    """Raises ValueError or TypeError for a language model that cannot be."""
    own, model = config.lm, config.model
    assert own is not None
    check_sequences(config)
    if (config.data.vocabulary or 0) < LEAST:
        raise ValueError(
            f"data.vocabulary must be at least {LEAST} (bytes and special subwords), got {config.data.vocabulary}"
        )
    if model.heads >= 1 and model.width % (2 * model.heads):
        raise ValueError(f"rotary positions need an even head width, got {model.width} / {model.heads}")
    if own.held_out is not None and own.held_out < 1:
        raise ValueError(f"lm.held_out must be at least 1, got {own.held_out}")
    if own.rotary_base <= 1:
        raise ValueError(f"lm.rotary_base must be above 1, got {own.rotary_base}")
    if model.norm != "pre" or model.activation != "silu":
        raise ValueError(
            f"the language model has norm: pre and activation: silu, got {model.norm!r} and {model.activation!r}"
        )
    with torch.device("meta"):  # builds every layer, so that the library's own checks speak, and allocates nothing
        LanguageModel(config)

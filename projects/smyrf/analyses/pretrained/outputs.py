"""A model's output for one input, and how far it moves when the attention is swapped."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from projects.smyrf.models.checkpoints import Checkpoint


class Output(NamedTuple):
    """`vectors` (t, w): of a text the mean of the last layer, of an image its class token (t = 1), of a causal model the last layer, token by token.

    A causal model also has `nats` (n − 1), the cross entropy of each next token, and `likeliest` (n − 1), the token of the highest probability.
    """

    vectors: Tensor
    nats: Tensor
    likeliest: Tensor


@torch.inference_mode()
def output(checkpoint: Checkpoint, x: Tensor) -> Output:
    """The output for one input, token ids (1, n) or pixels (1, 3, height, width), with the attention that the model has at the moment.

    The model runs where it is; the output is on the CPU.
    """
    nothing, x = torch.empty(0), x.to(checkpoint.device)
    if checkpoint.kind == "causal":
        states = checkpoint.model(x, use_cache=False, output_hidden_states=True)
        logits = states.logits[0, :-1].float()
        nats = F.cross_entropy(logits, x[0, 1:], reduction="none")
        return Output(states.hidden_states[-1][0].cpu(), nats.cpu(), logits.argmax(-1).cpu())
    states = checkpoint.model(x).last_hidden_state
    if checkpoint.kind == "text":
        return Output(states.mean(1).cpu(), nothing, nothing)
    # Without a class token the states are (b, w, height, width).
    pooled = states[:, 0] if states.ndim == 3 else states.flatten(2).mean(-1)
    return Output(pooled.cpu(), nothing, nothing)


@torch.inference_mode()
def forward(checkpoint: Checkpoint, x: Tensor) -> None:
    """The plain forward pass, to be timed and its memory measured."""
    checkpoint.model(x.to(checkpoint.device), **({"use_cache": False} if checkpoint.kind == "causal" else {}))


def cosine(dense: Output, other: Output) -> float:
    """The cosine similarity of the vectors, the mean over tokens where there are several."""
    return float(F.cosine_similarity(dense.vectors, other.vectors, dim=-1).mean())


def tokens_of(checkpoint: Checkpoint, x: Tensor) -> int:
    """How many tokens attention sees: of a text, or patches of an image and what the model puts before them."""
    if checkpoint.kind != "image":
        return x.shape[1]
    with torch.inference_mode():
        states: Tensor = checkpoint.model(x.to(checkpoint.device)).last_hidden_state
    return states.shape[1] if states.ndim == 3 else states[0, 0].numel()

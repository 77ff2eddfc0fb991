"""A pre-trained encoder with a linear head, for classes or for a rating, and the attention that it runs.

Dense attention is the model's own, with PyTorch's fused kernel. SMYRF comes from Regard's adapter, or, where a table
asks for an order of masks, from `mask_order.py`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from projects.smyrf.config import AttentionName, Encoder, MaskOrder, Scheme
from projects.smyrf.models import mask_order
from regard.adapters import huggingface

Reseed = Callable[[int], None]
FIXED_SEED = 0  # of SMYRF's directions, where they are not drawn anew


class Classifier(nn.Module):
    """ids and kinds (b, n) int64 -> (b, outputs).

    The head reads the mean over the last layer's real tokens, or the encoder's own pooling of the first token. All
    layers below the last `trained_layers` stay as they are and have no dropout.

    Args:
        encoder: An encoder of transformers, such as BERT.
        outputs: Classes, or 1 for a rating.
        settings: Pooling, dropout, trained layers, and when SMYRF draws its directions.
    """

    def __init__(self, encoder: Any, outputs: int, settings: Encoder) -> None:
        super().__init__()
        self.encoder, self.redraw = encoder, settings.redraw
        self.padding: int = encoder.config.pad_token_id
        self.mean = settings.pool == "mean"
        if self.mean:
            encoder.pooler = None
        set_attention_dropout(encoder, settings.attention_dropout)
        self.dropout = nn.Dropout(settings.dropout)
        self.head = nn.Linear(encoder.config.hidden_size, outputs)
        nn.init.normal_(self.head.weight, std=encoder.config.initializer_range)
        nn.init.zeros_(self.head.bias)
        self.reseed: Reseed | None = None
        self.frozen: list[nn.Module] = []
        if settings.trained_layers is not None:
            layers = list(encoder.encoder.layer)
            self.frozen = [encoder.embeddings, *layers[: len(layers) - settings.trained_layers]]
            for module in self.frozen:
                module.requires_grad_(False)

    def train(self, mode: bool = True) -> "Classifier":
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def forward(self, ids: Tensor, kinds: Tensor) -> Tensor:
        if self.reseed is not None:
            anew = self.redraw == "always" or (self.redraw == "training" and self.training)
            self.reseed(int(torch.randint(2**31, ())) if anew else FIXED_SEED)
        mask = ids != self.padding
        states = self.encoder(input_ids=ids, attention_mask=mask.long(), token_type_ids=kinds)
        if self.mean:
            real = mask[..., None].to(states.last_hidden_state.dtype)
            pooled = (states.last_hidden_state * real).sum(1) / real.sum(1)
        else:
            pooled = states.pooler_output
        outputs: Tensor = self.head(self.dropout(pooled))
        return outputs

    def trained(self) -> dict[str, Tensor]:
        """The weights that fine-tuning changes, by name."""
        return {name: weight.detach() for name, weight in self.named_parameters() if weight.requires_grad}


def put(
    encoder: Any,
    name: AttentionName,
    *,
    rounds: int = 1,
    cluster_size: int = 1,
    scheme: Scheme = "asymmetric",
    mask: MaskOrder | None = None,
) -> Reseed | None:
    """Have an encoder run `softmax` or `smyrf`.

    Args:
        encoder: An encoder of transformers.
        name: The attention.
        rounds: Of SMYRF.
        cluster_size: SMYRF's queries and keys per cluster.
        scheme: SMYRF's hash.
        mask: The order of padding masks; left out, the adapter's, which is the right one.

    Returns:
        What draws SMYRF's directions anew from a seed; None for softmax.
    """
    if name == "softmax":
        encoder.set_attn_implementation("sdpa")
        return None
    if mask is not None:
        return mask_order.put(encoder, mask, rounds=rounds, cluster_size=cluster_size)
    huggingface.register()
    encoder.set_attn_implementation("regard-smyrf")
    huggingface.configure(encoder, rounds=rounds, cluster_size=cluster_size, scheme=scheme)
    return AdapterSeed(encoder)


class AdapterSeed:
    """Draws the directions of an encoder's SMYRF anew. A copy in another process, a rank of a training, registers the adapter there."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder

    def __call__(self, seed: int) -> None:
        huggingface.configure(self.encoder, seed=seed)

    def __setstate__(self, state: dict[str, Any]) -> None:
        huggingface.register()
        self.__dict__ |= state


def set_attention_dropout(encoder: nn.Module, dropout: float) -> None:
    """Set the dropout of attention weights, which only dense attention has."""
    for module in huggingface.attention_modules(encoder):
        module.dropout.p = dropout
        module.config.attention_probs_dropout_prob = dropout

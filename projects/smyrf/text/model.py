"""A pre-trained encoder with a linear head, for classes or for a rating."""

from typing import Any

import torch
from torch import Tensor, nn

from projects.smyrf.text.attention import Reseed, set_attention_dropout
from projects.smyrf.text.config import Finetuning

FIXED_SEED = 0  # of SMYRF's directions, where they are not drawn anew


class Classifier(nn.Module):
    """ids and kinds (b, n) int64 -> (b, outputs).

    `pool`: the mean over the last layer's real tokens, or the encoder's own pooling of the first token. All layers below the last
    `trained_layers` stay as they are and have no dropout.
    """

    def __init__(self, encoder: Any, outputs: int, settings: Finetuning) -> None:
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
        found = self.encoder(input_ids=ids, attention_mask=mask.long(), token_type_ids=kinds)
        if self.mean:
            real = mask[..., None].to(found.last_hidden_state.dtype)
            pooled = (found.last_hidden_state * real).sum(1) / real.sum(1)
        else:
            pooled = found.pooler_output
        out: Tensor = self.head(self.dropout(pooled))
        return out

    def trained(self) -> dict[str, Tensor]:
        """The weights that fine-tuning changes, by name."""
        return {name: weight.detach() for name, weight in self.named_parameters() if weight.requires_grad}

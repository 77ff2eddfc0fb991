"""An encoder–decoder for translation (Vaswani et al. 2017), pre-norm. Under test is the decoder's cross attention.

The decoder may see all of the source and only the earlier words of the target.
"""

import torch
from torch import Tensor, nn

from projects.cab.config import Attention, Translation
from projects.cab.data.sentences import PADDING
from projects.cab.models.blocks import embedded, encoder_decoder, positions
from projects.cab.models.layer_under_test import AttentionLayers
from regard.common.patterns import Pattern


class Translator(nn.Module):
    """Source and target so far -> logits of the next words; the output map is the target's embedding.

    Args:
        task: Sizes of the model and of both vocabularies.
        attention: The mechanism under test.
        pattern: The pattern under test.
    """

    positions: Tensor

    def __init__(self, task: Translation, attention: Attention, pattern: Pattern) -> None:
        super().__init__()
        width = task.width
        self.layers = AttentionLayers(attention, pattern, width=width, heads=task.heads, length=task.length)
        embeddings = [nn.Embedding(task.vocabulary, width) for _ in range(2)]
        for embedding in embeddings:
            nn.init.normal_(embedding.weight, std=width**-0.5)
        self.embeddings = nn.ModuleList(embeddings)
        self.register_buffer("positions", positions(task.length, width), False)
        self.encoder, self.decoder = encoder_decoder(self.layers, task)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Source `(b, m)` and target `(b, n)` -> logits `(b, n, vocabulary)`."""
        source_mask, target_mask = source != PADDING, target != PADDING
        context = embedded(self.embeddings[0], source, self.positions)
        for block in self.encoder:
            context = block(context, source_mask)
        context, x = self.norms[0](context), embedded(self.embeddings[1], target, self.positions)
        for block in self.decoder:
            x = block(x, context, target_mask, source_mask)
        output = self.embeddings[1].weight
        assert isinstance(output, Tensor)
        return torch.matmul(self.norms[1](x), output.T)

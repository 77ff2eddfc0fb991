"""An encoder–decoder that writes summaries (Vaswani et al. 2017), pre-norm, with one vocabulary for source and target.

Under test is the encoder's self attention, the decoder's, or its cross attention; the other two are softmax attention.
The decoder may see all of the source and only the earlier subwords of the target.
"""

import torch
from torch import Tensor, nn

from projects.cab.config import Attention, Summary
from projects.cab.models.blocks import embedded, encoder_decoder, positions
from projects.cab.models.layer_under_test import AttentionLayers
from regard.common.patterns import Pattern
from regard_lab.data.subwords import BEGIN, END, PADDING

NEVER = (PADDING, BEGIN)  # subwords that a summary never holds


class Summariser(nn.Module):
    """Source and target so far -> logits of the next subwords; the output map is the embedding's.

    Args:
        task: Sizes of the model.
        attention: The mechanism under test.
        pattern: The pattern under test.
    """

    positions: Tensor

    def __init__(self, task: Summary, attention: Attention, pattern: Pattern) -> None:
        super().__init__()
        width = task.width
        longest = max(task.source_length, task.target_length)
        length = task.target_length if pattern == "causal_self" else task.source_length
        self.layers = AttentionLayers(
            attention, pattern, width=width, heads=task.heads, length=length, options=task.options
        )
        self.embedding = nn.Embedding(task.vocabulary, width)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        self.register_buffer("positions", positions(longest, width), False)
        self.encoder, self.decoder = encoder_decoder(self.layers, task)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """Source `(b, m)` and target `(b, n)` -> logits `(b, n, vocabulary)`."""
        mask = source != PADDING
        return self.decode(self.encode(source, mask), mask, target)

    def encode(self, source: Tensor, mask: Tensor) -> Tensor:
        """Source `(b, m)` and its mask -> `(b, m, width)`."""
        x = embedded(self.embedding, source, self.positions)
        for block in self.encoder:
            x = block(x, mask)
        out: Tensor = self.norms[0](x)
        return out

    def decode(self, context: Tensor, mask: Tensor, target: Tensor) -> Tensor:
        """The encoded source `(b, m, width)` with its mask, and target `(b, n)` -> logits `(b, n, vocabulary)`."""
        x = embedded(self.embedding, target, self.positions)
        target_mask = target != PADDING
        for block in self.decoder:
            x = block(x, context, target_mask, mask)
        return torch.matmul(self.norms[1](x), self.embedding.weight.T)


@torch.inference_mode()
def write(model: Summariser, source: Tensor, *, length: int, beams: int) -> Tensor:
    """Summaries by beam search; with one beam the likeliest subword is taken, one after the other.

    A summary's score is its log-likelihood divided by its length (Wu et al. 2016, with a penalty of 1). Every step
    reads the target so far anew, so that any mechanism can be decoded.

    Args:
        model: In evaluation mode.
        source: `(b, m)`.
        length: The most subwords of a summary, its END included.
        beams: How many unfinished summaries are followed, k.

    Returns:
        `(b, n)`, n up to `length`, without BEGIN, PADDING after END.
    """
    b, mask = len(source), source != PADDING
    context = model.encode(source, mask).repeat_interleave(beams, 0)
    mask = mask.repeat_interleave(beams, 0)
    target = source.new_full((b * beams, 1), BEGIN)
    scores = torch.full((b, beams), -torch.inf, device=source.device)
    scores[:, 0] = 0  # all beams are the same at first
    ended = torch.zeros(b, beams, dtype=torch.bool, device=source.device)
    lengths = torch.zeros(b, beams, device=source.device)
    for _ in range(length):
        logits = model.decode(context, mask, target)[:, -1]
        logits[:, list(NEVER)] = -torch.inf
        likely = logits.log_softmax(-1).view(b, beams, -1)
        stop = torch.full_like(likely[0, 0], -torch.inf)
        stop[PADDING] = 0  # what has ended goes on with padding, at no cost
        likely = torch.where(ended[..., None], stop, likely)
        total = scores[..., None] + likely
        after = lengths[..., None] + (~ended)[..., None].float()
        chosen = (total / after.clamp(min=1)).flatten(1).topk(beams, 1).indices
        beam, subword = chosen // likely.shape[-1], chosen % likely.shape[-1]
        scores = total.flatten(1).gather(1, chosen)
        lengths = after.squeeze(-1).gather(1, beam)
        ended = ended.gather(1, beam) | (subword == END)
        rows = (torch.arange(b, device=source.device)[:, None] * beams + beam).flatten()
        target = torch.cat([target[rows], subword.view(-1, 1)], 1)
        if bool(ended.all()):
            break
    best = (scores / lengths.clamp(min=1)).argmax(1)
    return target.view(b, beams, -1)[torch.arange(b, device=source.device), best, 1:]

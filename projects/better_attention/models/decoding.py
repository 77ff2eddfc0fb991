"""Greedy and beam search with an encoder–decoder.

A hypothesis ends with END or at the greatest length. Beam search keeps the hypotheses with the largest Σ log p, ended
ones among them, and returns the one with the largest Σ log p / lengthᵅ of those that remain, END counted in the length
(Wu et al. 2016 with a plain length). Every step recomputes the whole prefix: for short sentences and small models that
is cheaper than keeping states in order.
"""

import torch
from torch import Tensor

from projects.better_attention.models.translator import Translator
from regard_lab.data.subwords import BEGIN, END, PADDING


@torch.inference_mode()
def greedy(model: Translator, sources: Tensor) -> Tensor:
    """Sources (b, m) -> the most likely subword, one after the other (b, n), END included, followed by PADDING."""
    context, mask = model.encode(sources), sources != PADDING
    words = torch.full((len(sources), 1), BEGIN, device=sources.device)
    ended = torch.zeros(len(sources), dtype=torch.bool, device=sources.device)
    for _ in range(model.length):
        word = model.next_logits(context, mask, words).argmax(-1).masked_fill(ended, PADDING)
        words = torch.cat([words, word[:, None]], 1)
        ended = ended | (word == END)
        if ended.all():
            break
    return words[:, 1:]


@torch.inference_mode()
def beam_search(model: Translator, sources: Tensor, beam: int, length_penalty: float) -> Tensor:
    """The best hypothesis for each source.

    Args:
        model: The translator, in evaluation mode.
        sources: `(b, m)`, padded at the end.
        beam: How many hypotheses are kept per sentence.
        length_penalty: α, the exponent of the length by which log probabilities are divided.

    Returns:
        `(b, n)`, END included, followed by PADDING.
    """
    batch, device = len(sources), sources.device
    context = model.encode(sources).repeat_interleave(beam, 0)
    mask = (sources != PADDING).repeat_interleave(beam, 0)
    words = torch.full((batch * beam, 1), BEGIN, device=device)
    ended = torch.zeros(batch * beam, dtype=torch.bool, device=device)
    scores = torch.full((batch, beam), -torch.inf, device=device)
    scores[:, 0] = 0.0  # at first all hypotheses of a sentence are the same
    for _ in range(model.length):
        log_p = model.next_logits(context, mask, words).log_softmax(-1)
        log_p[ended] = -torch.inf
        log_p[ended, PADDING] = 0.0  # an ended hypothesis stays as it is
        vocabulary = log_p.shape[-1]
        summed = (scores[:, :, None] + log_p.view(batch, beam, vocabulary)).flatten(1)
        scores, chosen = summed.topk(beam, dim=1)
        parent = (chosen // vocabulary + beam * torch.arange(batch, device=device)[:, None]).flatten()
        word = (chosen % vocabulary).flatten()
        words = torch.cat([words[parent], word[:, None]], 1)
        ended = ended[parent] | (word == END)
        if ended.all():
            break
    lengths = (words[:, 1:] != PADDING).sum(1).view(batch, beam)
    best = (scores / lengths**length_penalty).argmax(1) + beam * torch.arange(batch, device=device)
    return words[best, 1:]

"""What a token means to the prediction, by two measures that look at no weight: gradient × embedding, and leaving the token out.

The gradient is that of torch's autograd on the embeddings, which is what Captum's `InputXGradient` asks it for.
"""

from functools import lru_cache

import torch
from torch import Tensor

from projects.explaining.bert import hidden_of
from projects.explaining.looked import Looked
from projects.explaining.looking import Seen, mixed
from projects.explaining.measures import tvd

AT_ONCE = 64  # occluded copies of a text


@lru_cache(maxsize=2)
def gradient_importance(found: Looked) -> Tensor:
    """|∂ y / ∂ x_j · x_j| for the likeliest class's probability y, each text's summing to 1; the explained attention is held fast (t, m).

    Jain and Wallace hold attention fast too: the weights are to be compared with what flows past them.
    """
    model = found.model
    tokens = found.tokens
    embedded = model.embed(tokens).detach().requires_grad_(True)
    mask = tokens != 0
    seen = model.look(model.lower(embedded, mask), mask)
    held = Seen(seen.attention.detach(), seen.values, seen.keys, seen.mask, seen.residual)
    probabilities = model.decide(held, mixed(held.attention, held)).softmax(-1)
    likeliest = probabilities.gather(-1, found.before.argmax(-1, keepdim=True)).sum()
    (gradient,) = torch.autograd.grad(likeliest, embedded)
    flow = (gradient * embedded.detach()).sum(-1).abs() * mask
    return flow / flow.sum(-1, keepdim=True).clamp(min=1e-300)


@lru_cache(maxsize=2)
@torch.no_grad()
def occlusion_importance(found: Looked, texts: int) -> Tensor:
    """The total variation of the prediction when token j is left out of the input, for the first texts (texts, m)."""
    importance = torch.zeros(texts, found.tokens.shape[1], dtype=torch.float64)
    for text in range(texts):
        real = found.tokens[text][found.seen.mask[text]]
        n = len(real)
        if n < 2:
            continue
        without = torch.stack([torch.cat([real[:j], real[j + 1 :]]) for j in range(n)])
        for part in torch.arange(n).split(AT_ONCE):
            tokens = without[part]
            hidden = hidden_of(found.model, tokens, AT_ONCE)
            after = found.model.upper(hidden, tokens != 0).softmax(-1)
            importance[text, part] = tvd(after, found.before[text])
    return importance

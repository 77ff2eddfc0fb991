"""Running softmax: for every i a softmax over j ≤ i, for each of c slots, in chunks.

    w_ijc = exp(a_jc − L_ic)        L_ic = log Σ_{j ≤ i} exp(a_jc)

Every exponent is at most 0, so that no logit, however large, overflows, and no later one touches an earlier row, not even by rounding.
Time O(n c (d + chunk)), memory O(n c (chunk + d / chunk)): never n c d.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

UNSEEN = (
    -1e30
)  # the logit of a masked key: finite, so that rows that see nothing weigh zeros and have no NaN in their gradients


def running_softmax(logits: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of x (b, h, s, chunk, d) by the softmax over j ≤ i of logits (b, h, s, chunk, c), a sequence in s chunks.

    Returns within (b, h, s, i, j, c), the weights inside each chunk, 1 where j > i (the caller's `tril` of (i, j) costs less); faded
    (b, h, s, i, c), the weight left to all that stands before the chunk; means (b, h, s, c, d), the softmax-weighed mean of x over that.
    A weighed sum is then within · x + faded · means.
    """
    chunk = logits.shape[3]
    total = logits.flatten(2, 3).logcumsumexp(2).reshape(logits.shape)  # L_i
    future = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).triu(1)[..., None]
    within = (logits[:, :, :, None] - total[:, :, :, :, None]).masked_fill(future, 0).exp()
    last = total[:, :, :, -1]  # b h s c
    earlier = F.pad(last, (0, 0, 1, 0), value=UNSEEN)[:, :, :-1]
    added = (logits - last[:, :, :, None]).exp().mT @ x  # b h s c d
    fading = (earlier - last).exp()[..., None]
    state, before = torch.zeros_like(added[:, :, 0]), []
    for index in range(added.shape[2]):
        before.append(state)
        state = torch.addcmul(added[:, :, index], state, fading[:, :, index])
    return within, (earlier[:, :, :, None] - total).exp(), torch.stack(before, 2)

"""S4D, the definition: the recurrence, token by token."""

import torch
from torch import Tensor

from regard.mechanisms.s4d.fft_conv import discretise


def naive_s4d(u: Tensor, *, skip: Tensor, bidirectional: bool = False, **system: Tensor) -> Tensor:
    """The definition as the recurrence s_i = exp(Δ A) s_{i−1} + u_i, token by token. Arguments as `s4d`."""
    step, weights = discretise(**system)
    decay = step.exp()
    channels = skip.shape[0]
    y = skip * u[:, :, None]  # b n channels w
    past = torch.zeros(u.shape[0], *decay.shape, dtype=decay.dtype, device=u.device)  # b w modes
    future, rows, later = past, [], []
    for i in range(u.shape[1]):
        past = decay * past + u[:, i, :, None]
        rows.append(2 * torch.einsum("cwm,bwm->bcw", weights[:channels], past).real)
    if bidirectional:
        for i in reversed(range(u.shape[1])):
            later.append(2 * torch.einsum("cwm,bwm->bcw", weights[channels:], future).real)
            future = decay * future + u[:, i, :, None]
        y = y + torch.stack(later[::-1], 1)
    return y + torch.stack(rows, 1)

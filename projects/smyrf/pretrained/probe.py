"""A linear probe: multinomial logistic regression on frozen features, the usual test of what a representation holds."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

DECAY = 0.1  # ridge penalty on standardised features; [our choice] of 0.001 … 10, on the validation splits under dense attention
STEPS = 200  # of L-BFGS at most: the loss is convex, and the end the same from anywhere


class Probe(NamedTuple):
    """`mean` and `sd` (w,) of the features it was fitted on, `weight` (classes, w), `bias` (classes,)."""

    mean: Tensor
    sd: Tensor
    weight: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """Features (n, w) -> (n, classes)."""
        return (features.double() - self.mean) / self.sd @ self.weight.T + self.bias


def fit(features: Tensor, labels: Tensor, classes: int) -> Probe:
    """The probe with the least mean cross entropy + `DECAY` / 2 · ‖weight‖² on features (n, w), labels (n,); in float64."""
    features = features.double()
    mean, sd = features.mean(0), features.std(0).clamp(min=1e-6)
    weight = torch.zeros(classes, features.shape[1], dtype=torch.double, requires_grad=True)
    bias = torch.zeros(classes, dtype=torch.double, requires_grad=True)
    probe = Probe(mean, sd, weight, bias)
    optimiser = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe", tolerance_grad=1e-8)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(probe.logits(features), labels) + DECAY / 2 * weight.square().sum()
        loss.backward()
        return loss

    with torch.inference_mode(False), torch.enable_grad():
        optimiser.step(closure)
    return probe._replace(weight=weight.detach(), bias=bias.detach())

"""The reference that every cell of `pretrained_swap` reads: outputs under dense attention, and a linear probe fitted on dense features.

The probe is multinomial logistic regression on frozen features, the usual test of what a representation holds.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from projects.smyrf.analyses.pretrained.outputs import Output, output
from projects.smyrf.data.inputs import InputRange, inputs_of
from projects.smyrf.models.checkpoints import checkpoint
from projects.smyrf.models.swapping import swapped
from regard_lab.experiment.artefacts import artefact

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
        torch.autograd.backward(loss)
        return loss

    with torch.inference_mode(False), torch.enable_grad():
        optimiser.step(closure)  # type: ignore[no-untyped-call]
    return probe._replace(weight=weight.detach(), bias=bias.detach())


@dataclass(frozen=True)
class DenseRun:
    """A checkpoint and its inputs, as `InputRange` names them; `classes` of the probe, 0 without one."""

    checkpoint: str
    reads: str
    data: str
    source: str
    split: str
    tokens: int
    first: int
    count: int
    classes: int = 0

    @property
    def inputs(self) -> InputRange:
        return InputRange(self.reads, self.data, self.source, self.split, self.tokens, self.first, self.count)


def outputs_of(run: DenseRun, root: Path) -> list[Output]:
    """The outputs with dense attention, one per input."""
    folder = artefact(make_outputs, run, [run.data], source=run.source, root=root)
    stored: list[tuple[Tensor, Tensor, Tensor]] = torch.load(folder / "outputs.pt", weights_only=True)
    return [Output(*tensors) for tensors in stored]


def probe_of(run: DenseRun, root: Path) -> Probe:
    """The probe fitted on the dense features of these inputs."""
    folder = artefact(make_probe, run, [run.data], source=run.source, root=root)
    return Probe(*torch.load(folder / "probe.pt", weights_only=True))


def make_outputs(run: DenseRun, folder: Path) -> None:
    """The work of `outputs_of`."""
    outputs, _ = run_dense(run, Path.cwd())
    torch.save([tuple(output) for output in outputs], folder / "outputs.pt")


def make_probe(run: DenseRun, folder: Path) -> None:
    """The work of `probe_of`."""
    outputs, labels = run_dense(run, Path.cwd())
    features = torch.cat([output.vectors for output in outputs])
    torch.save(tuple(fit(features, labels, run.classes)), folder / "probe.pt")


def run_dense(run: DenseRun, root: Path) -> tuple[list[Output], Tensor]:
    """The outputs of the model with dense attention by the fused kernel, and the labels (n,)."""
    model = checkpoint(run.checkpoint, root)
    tensors, labels = inputs_of(model, run.inputs, root)
    with swapped(model.model, None):
        return [output(model, x) for x in tensors], labels

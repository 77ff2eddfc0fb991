"""What dense attention gives, computed once and read by every cell: the outputs for a seed's inputs, and the probe fitted on dense features."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from projects.smyrf.pretrained.checkpoints import checkpoint
from projects.smyrf.pretrained.inputs import Wanted, inputs_of
from projects.smyrf.pretrained.outputs import Output, output
from projects.smyrf.pretrained.probe import Probe, fit
from projects.smyrf.pretrained.swapping import swapped
from regard_lab.experiment.artefacts import artefact


@dataclass(frozen=True)
class Dense:
    """A checkpoint and its inputs, as `Wanted` names them; `classes` of the probe, 0 without one."""

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
    def wanted(self) -> Wanted:
        return Wanted(self.reads, self.data, self.source, self.split, self.tokens, self.first, self.count)


def outputs_of(dense: Dense, root: Path) -> list[Output]:
    """The outputs with dense attention, one an input."""
    folder = artefact(make_outputs, dense, [dense.data], source=dense.source, root=root)
    stored: list[tuple[Tensor, Tensor, Tensor]] = torch.load(folder / "outputs.pt", weights_only=True)
    return [Output(*each) for each in stored]


def probe_of(dense: Dense, root: Path) -> Probe:
    """The probe fitted on the dense features of these inputs."""
    folder = artefact(make_probe, dense, [dense.data], source=dense.source, root=root)
    return Probe(*torch.load(folder / "probe.pt", weights_only=True))


def make_outputs(dense: Dense, folder: Path) -> None:
    """The work of `outputs_of`."""
    made, _ = run(dense, Path.cwd())
    torch.save([tuple(each) for each in made], folder / "outputs.pt")


def make_probe(dense: Dense, folder: Path) -> None:
    """The work of `probe_of`."""
    made, labels = run(dense, Path.cwd())
    features = torch.cat([each.vectors for each in made])
    torch.save(tuple(fit(features, labels, dense.classes)), folder / "probe.pt")


def run(dense: Dense, root: Path) -> tuple[list[Output], Tensor]:
    """Every input through the model with its attention by the fused kernel."""
    model = checkpoint(dense.checkpoint, root)
    tensors, labels = inputs_of(model, dense.wanted, root)
    with swapped(model.model, None):
        return [output(model, x) for x in tensors], labels

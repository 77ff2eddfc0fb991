"""The network that scores generated pictures: a small classifier, trained here on the same data set.

The Fréchet distance and the Inception score are defined over any network that knows the pictures; the published ones
use Inception-v3, trained on ImageNet. Over this one they say how a generator compares with another here, and nothing
beside published numbers.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.smyrf.data.pictures import as_floats, load
from regard_lab.common.files import write_json
from regard_lab.training.recipe import Training
from regard_lab.training.trainer import Task, evaluate, fit, load_weights, loader

FEATURES = 64  # few enough for the covariance of 5,000 pictures
RATE, BATCH = 1e-3, 128  # [our choice] of Adam
SEED = 0  # one classifier judges the generators of every seed


@dataclass
class ClassifierRun:
    """Everything that decides the classifier that scores pictures."""

    data: str
    source: str
    image_size: int
    colours: int
    classes: int
    epochs: int


class Classifier(nn.Module):
    """(b, colours, s, s) in [-1, 1], or bytes as they are stored, -> logits (b, classes); `features` are what the last map sees.

    `size` is s, a multiple of 8.
    """

    def __init__(self, size: int, colours: int, classes: int) -> None:
        super().__init__()
        self.size = size
        widths = [colours, 16, 32, 64]
        self.maps = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.hidden = nn.Linear(widths[-1] * (size // 8) ** 2, FEATURES)
        self.output = nn.Linear(FEATURES, classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on CPU

    def features(self, pictures: Tensor) -> Tensor:
        """(b, colours, s, s), or bytes (b, s, s) or (b, s, s, 3), -> (b, FEATURES)"""
        h = as_floats(pictures, self.size)
        for layer in self.maps:
            h = F.max_pool2d(F.relu(layer(h)), 2)
        return F.relu(self.hidden(h.flatten(1)))

    def forward(self, pictures: Tensor) -> Tensor:
        logits: Tensor = self.output(self.features(pictures))
        return logits


def train(run: ClassifierRun, folder: Path) -> None:
    """Leaves `classifier.pt` (the epoch of best validation accuracy) and `classifier.json` (its accuracy on the test split, in %)."""
    parts = {
        name: load(run.data, run.source, name, size=run.image_size, colours=run.colours, classes=run.classes)
        for name in ("train", "validation", "test")
    }
    training = Training(optimiser="adam", learning_rate=RATE, batch_size=BATCH, epochs=run.epochs)
    torch.manual_seed(SEED)
    model = Classifier(run.image_size, run.colours, run.classes)
    task = Task(model, score, training)
    batches = loader(parts["train"], training.batch_size, seed=SEED)
    fit(task, batches, loader(parts["validation"], 500), seed=SEED, folder=folder)
    load_weights(task, folder, "best")
    torch.save(model.state_dict(), folder / "classifier.pt")
    write_json(folder / "classifier.json", {"test_accuracy": evaluate(task, loader(parts["test"], 500))["accuracy"]})


def score(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Cross entropy (nats) and accuracy (%) of a batch."""
    pictures, labels = batch
    logits = model(pictures)
    return {
        "loss": F.cross_entropy(logits, labels),
        "accuracy": 100 * (logits.argmax(-1) == labels).float().mean(),
    }

"""The network that scores generated pictures: a small classifier, trained here on the same data set.

The Fréchet distance and the Inception score are defined over any network that knows the pictures; the published ones use Inception-v3, trained on
ImageNet. Over this one they say how a generator compares with another here, and nothing beside published numbers.
"""

from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.smyrf.gan.config import Judge
from projects.smyrf.gan.pictures import load
from regard_lab.common.files import write_json
from regard_lab.training.trainer import Task, evaluate, fit, load_weights, loader

FEATURES = 64  # few enough for the covariance of 5,000 pictures
RATE, BATCH = 1e-3, 128  # [our choice] Adam
SEED = 0  # one classifier judges the generators of every seed


class Classifier(nn.Module):
    """(b, colours, s, s) in [-1, 1] -> logits (b, classes); `features` are what the last map sees. `size` is s, a multiple of 8."""

    def __init__(self, size: int, colours: int, classes: int) -> None:
        super().__init__()
        widths = [colours, 16, 32, 64]
        self.maps = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.hidden = nn.Linear(widths[-1] * (size // 8) ** 2, FEATURES)
        self.output = nn.Linear(FEATURES, classes)
        self.to(memory_format=torch.channels_last)  # faster on CPU

    def features(self, pictures: Tensor) -> Tensor:
        """(b, colours, s, s) -> (b, FEATURES)"""
        h = pictures
        for layer in self.maps:
            h = F.max_pool2d(F.relu(layer(h)), 2)
        return F.relu(self.hidden(h.flatten(1)))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.output(self.features(pictures))


def train(judge: Judge, folder: Path) -> None:
    """Leaves `classifier.pt` (the epoch of best validation accuracy) and `classifier.json` (its accuracy on the test split, in %)."""
    parts = {
        name: load(judge.data, judge.source, name, size=judge.image_size, colours=judge.colours, classes=judge.classes)
        for name in ("train", "validation", "test")
    }
    torch.manual_seed(SEED)
    model = Classifier(judge.image_size, judge.colours, judge.classes)
    task = Task(model, score, lambda module: torch.optim.Adam(module.parameters(), lr=RATE))
    batches = loader(parts["train"], BATCH, seed=SEED)
    fit(task, batches, loader(parts["validation"], 500), epochs=judge.epochs, seed=SEED, folder=folder)
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

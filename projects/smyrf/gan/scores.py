"""How good generated pictures are: Fréchet distance and Inception score, over a network that knows the pictures.

    FID = ‖μ - μ'‖² + tr(Σ + Σ' - 2 (Σ Σ')^½)        of the features of real and of generated pictures, in float64
    IS = exp E_x KL(p(y | x) ‖ p(y))                  the mean over ten parts

Heusel et al., 2017; Salimans et al., 2016.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore

from projects.smyrf.gan.classifier import FEATURES, Classifier, train
from projects.smyrf.gan.config import Judge
from projects.smyrf.gan.inception import Inception
from projects.smyrf.gan.pictures import load
from regard_lab import data
from regard_lab.common.files import read_json
from regard_lab.experiment.artefacts import artefact

if TYPE_CHECKING:
    from projects.smyrf.config import Config

BATCH = 500
SPLITS = 10  # parts of the Inception score, as everywhere
Batches = Iterable[tuple[Tensor, Tensor]]


class Scorer(Protocol):
    def scores(self, batches: Batches, images: int) -> dict[str, float]:
        """At least `fid` and `inception_score` of batches of pictures and labels, `images` in all."""


def judge_of(config: "Config") -> Scorer:
    """The network that scores the pictures of a cell, with the real ones that it compares them with."""
    assert config.gan is not None
    network, evaluation = config.gan.network, config.gan.evaluation
    judge = Judge(
        data=config.data.name,
        source=config.data.source,
        image_size=network.image_size,
        colours=network.colours,
        classes=network.classes,
        epochs=evaluation.classifier_epochs,
    )
    data.ensure(judge.data, Path.cwd(), judge.source)
    if evaluation.judge == "inception":
        return Inception(split(judge, evaluation.reference)[0].split(BATCH))
    return Trained(judge, evaluation.reference)


def split(judge: Judge, name: str) -> tuple[Tensor, Tensor]:
    """The pictures and labels of a split."""
    sizes = {"size": judge.image_size, "colours": judge.colours, "classes": judge.classes}
    return load(judge.data, judge.source, name, **sizes)


class Given(nn.Identity):
    """Takes features for pictures: the classifier has run already, once for both scores."""

    num_features = FEATURES


class Trained:
    """The classifier that was trained here."""

    def __init__(self, judge: Judge, reference: str) -> None:
        root = Path.cwd()
        folder = artefact(train, judge, [judge.data], source=judge.source, root=root)
        self.judge, self.test_accuracy = judge, float(read_json(folder / "classifier.json")["test_accuracy"])
        self.classifier = Classifier(judge.image_size, judge.colours, judge.classes)
        self.classifier.load_state_dict(torch.load(folder / "classifier.pt", weights_only=True))
        self.classifier.eval()
        self.reference = self.features(split(judge, reference)[0])

    @torch.no_grad()
    def features(self, pictures: Tensor) -> Tensor:
        """The features (n, FEATURES) of pictures."""
        return torch.cat([self.classifier.features(batch) for batch in pictures.split(BATCH)])

    def scores(self, batches: Batches, images: int) -> dict[str, float]:
        """fid, inception_score, and

        fid_of_real           that of as many training pictures: what a perfect generator would get
        recognised            pictures that the classifier takes for their class, in %
        classifier_accuracy   the same of the test split
        """
        found = [(self.features(pictures), labels) for pictures, labels in batches]
        features, labels = (torch.cat(part) for part in zip(*found, strict=True))
        with torch.no_grad():
            logits = self.classifier.output(features)
        return {
            "fid": frechet_distance(self.reference, features),
            "fid_of_real": frechet_distance(self.reference, self.features(split(self.judge, "train")[0][:images])),
            "inception_score": inception_score(logits),
            "recognised": 100 * float((logits.argmax(-1) == labels).double().mean()),
            "classifier_accuracy": self.test_accuracy,
        }


def frechet_distance(real: Tensor, made: Tensor) -> float:
    """Of two sets of features (n, FEATURES)."""
    metric = FrechetInceptionDistance(feature=Given())
    metric.update(real.double(), real=True)
    metric.update(made.double(), real=False)
    return float(metric.compute())


def inception_score(logits: Tensor) -> float:
    """The mean of the score over ten parts, drawn by a fixed seed."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", message=".*will save all extracted features.*")
        torch.manual_seed(0)
        metric = InceptionScore(feature=Given(), splits=SPLITS)
        metric.update(logits.double())
        return float(metric.compute()[0])

"""How good generated pictures are: Fréchet distance and Inception score, over a network that knows the pictures.

    FID = ‖μ - μ'‖² + tr(Σ + Σ' - 2 (Σ Σ')^½)        of the features of real and of generated pictures, in float64
    IS = exp E_x KL(p(y | x) ‖ p(y))                  the mean over ten parts

Heusel et al., 2017; Salimans et al., 2016.
"""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
import torchmetrics
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore

from projects.smyrf.data.pictures import as_floats, load
from projects.smyrf.tasks.gan.classifier import FEATURES, Classifier, ClassifierRun, train
from projects.smyrf.tasks.gan.inception import InceptionJudge, moments_of
from regard_lab import data
from regard_lab.common.files import read_json
from regard_lab.experiment.artefacts import artefact

if TYPE_CHECKING:
    from projects.smyrf.config import Config

BATCH = 500
MOMENTS = "moments.pt"
SPLITS = 10  # parts of the Inception score, as everywhere
Batches = Iterable[tuple[Tensor, Tensor]]


class Judge(Protocol):
    """What scores generated pictures."""

    def scores(self, batches: Batches, images: int) -> dict[str, float]:
        """At least `fid` and `inception_score` of batches of pictures and labels, `images` in all."""


def judge_of(config: "Config") -> Judge:
    """The network that scores the pictures of a cell, with the real ones that it compares them with."""
    assert config.gan is not None
    network, evaluation = config.gan.network, config.gan.evaluation
    run = ClassifierRun(
        data=config.data.name,
        source=config.data.source,
        image_size=network.image_size,
        colours=network.colours,
        classes=network.classes,
        epochs=evaluation.classifier_epochs,
    )
    data.ensure(run.data, Path.cwd(), run.source)
    if evaluation.judge == "inception":
        reference = ReferenceRun(
            run.data,
            run.source,
            evaluation.reference,
            run.image_size,
            run.colours,
            run.classes,
            torchmetrics.__version__,
        )
        folder = artefact(reference_moments, reference, [run.data], source=run.source, root=Path.cwd())
        return InceptionJudge(torch.load(folder / MOMENTS, weights_only=True))
    return ClassifierJudge(run, evaluation.reference)


@dataclass
class ReferenceRun:
    """What the moments of the real pictures over Inception-v3 depend on: the same for all cells of a table, and for all tables of a set."""

    data: str
    source: str
    split: str
    image_size: int
    colours: int
    classes: int
    torchmetrics: str  # whose port of Inception-v3 it is


def reference_moments(run: ReferenceRun, folder: Path) -> None:
    """Leaves the count, sum and sum of products of the features of the real pictures in `MOMENTS`."""
    real, _ = load(run.data, run.source, run.split, size=run.image_size, colours=run.colours, classes=run.classes)
    batches = (as_floats(batch, run.image_size) for batch in torch.split(real, BATCH))
    torch.save(moments_of(batches), folder / MOMENTS)


def split(run: ClassifierRun, name: str) -> tuple[Tensor, Tensor]:
    """The pictures of a split, as bytes, and their labels."""
    return load(run.data, run.source, name, size=run.image_size, colours=run.colours, classes=run.classes)


class PrecomputedFeatures(nn.Identity):
    """Passes features through: the classifier has run already, once for both scores."""

    num_features = FEATURES


class ClassifierJudge:
    """A classifier that is trained here, with the real pictures of a split to compare with."""

    def __init__(self, run: ClassifierRun, reference: str) -> None:
        folder = artefact(train, run, [run.data], source=run.source, root=Path.cwd())
        self.run, self.test_accuracy = run, float(read_json(folder / "classifier.json")["test_accuracy"])
        self.classifier = Classifier(run.image_size, run.colours, run.classes)
        self.classifier.load_state_dict(torch.load(folder / "classifier.pt", weights_only=True))
        self.classifier.eval()
        self.reference = self.features(split(run, reference)[0])

    @torch.no_grad()
    def features(self, pictures: Tensor) -> Tensor:
        """The features (n, FEATURES) of pictures, a batch at a time."""
        return torch.cat([self.classifier.features(batch) for batch in torch.split(pictures, BATCH)])

    def scores(self, batches: Batches, images: int) -> dict[str, float]:
        """fid, inception_score, and

        fid_of_real           that of as many training pictures: what a perfect generator would get
        recognised            pictures that the classifier takes for their class, in %
        classifier_accuracy   the same for the real pictures of the test split
        """
        pairs = [(self.features(pictures), labels) for pictures, labels in batches]
        features, labels = (torch.cat(part) for part in zip(*pairs, strict=True))
        with torch.no_grad():
            logits = self.classifier.output(features)
        return {
            "fid": frechet_distance(self.reference, features),
            "fid_of_real": frechet_distance(self.reference, self.features(split(self.run, "train")[0][:images])),
            "inception_score": inception_score(logits),
            "recognised": 100 * float((logits.argmax(-1) == labels).double().mean()),
            "classifier_accuracy": self.test_accuracy,
        }


def frechet_distance(real: Tensor, generated: Tensor) -> float:
    """The Fréchet distance of two sets of features (n, FEATURES)."""
    metric = FrechetInceptionDistance(feature=PrecomputedFeatures())
    metric.update(real.double(), real=True)
    metric.update(generated.double(), real=False)
    return float(metric.compute())


def inception_score(logits: Tensor) -> float:
    """The mean of the Inception score over ten parts, drawn by a fixed seed; logits (n, classes)."""
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.filterwarnings("ignore", message=".*will save all extracted features.*")
        torch.manual_seed(0)
        metric = InceptionScore(feature=PrecomputedFeatures(), splits=SPLITS)
        metric.update(logits.double())
        return float(metric.compute()[0])

"""Inception-v3 as the judge, for pictures of ImageNet and faces: torchmetrics' port, which downloads its weights."""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore

from regard_lab.common.errors import DataMissing

# What torchmetrics keeps of real pictures: how many, and the sums of their features and of the features' products.
REAL = ("real_features_num_samples", "real_features_sum", "real_features_cov_sum")


def moments_of(real: Iterable[Tensor]) -> dict[str, Tensor]:
    """The moments of real pictures over Inception-v3, given in batches (b, 1 or 3, s, s) in [-1, 1]; none of them is kept.

    Raises:
        DataMissing: Inception-v3 is not to be had.
    """
    distance = available(FrechetInceptionDistance)
    for batch in real:
        distance.update(in_colour(batch), real=True)
    return {name: getattr(distance, name) for name in REAL}


def available(metric: type[Metric], **options: Any) -> Any:
    """A metric over Inception-v3, or `DataMissing` where its weights are not to be had."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*will save all extracted features.*")
            return metric(normalize=True, **options)
    except (ModuleNotFoundError, OSError) as error:
        raise DataMissing(
            f"Inception-v3 is not available ({error}): pip install torch-fidelity, and connect to where it fetches its weights"
        ) from error


class InceptionJudge:
    """Scores over Inception-v3, against real pictures whose moments (`moments_of`) are given."""

    def __init__(self, real: Mapping[str, Tensor]) -> None:
        self.distance = available(FrechetInceptionDistance, reset_real_features=False)
        self.score = available(InceptionScore)
        for name in REAL:
            setattr(self.distance, name, real[name].to(self.distance.device))

    def scores(self, batches: Iterable[tuple[Tensor, Tensor]], images: int) -> dict[str, float]:
        """`fid` and `inception_score`."""
        self.distance.reset()  # forgets pictures generated before; the real ones stay
        self.score.reset()
        for batch, _ in batches:
            self.distance.update(in_colour(batch), real=False)
            self.score.update(in_colour(batch))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # which pictures make up which part
            return {"fid": float(self.distance.compute()), "inception_score": float(self.score.compute()[0])}


def in_colour(pictures: Tensor) -> Tensor:
    """[-1, 1] to [0, 1], grey to three colours."""
    return ((pictures + 1) / 2).clamp(0, 1).expand(-1, 3, -1, -1)

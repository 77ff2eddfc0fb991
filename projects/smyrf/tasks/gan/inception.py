"""Inception-v3 as the judge, for pictures of ImageNet and faces: torchmetrics' port, which downloads its weights."""

import warnings
from collections.abc import Iterable

import torch
from torch import Tensor
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore

from regard_lab.common.errors import DataMissing
from regard_lab.training.device import best_device


class InceptionJudge:
    """Scores over Inception-v3, against real pictures given in batches (b, 1 or 3, s, s) in [-1, 1]."""

    def __init__(self, real: Iterable[Tensor]) -> None:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*will save all extracted features.*")
                self.device = best_device()
                self.distance = FrechetInceptionDistance(normalize=True, reset_real_features=False).to(self.device)
                self.score = InceptionScore(normalize=True).to(self.device)
        except (ModuleNotFoundError, OSError) as error:
            raise DataMissing(
                f"Inception-v3 is not available ({error}): pip install torch-fidelity, and connect to where it fetches its weights"
            ) from error
        for batch in real:
            self.distance.update(in_colour(batch.to(self.device)), real=True)

    def scores(self, batches: Iterable[tuple[Tensor, Tensor]], images: int) -> dict[str, float]:
        """`fid` and `inception_score`."""
        self.distance.reset()  # forgets pictures generated before; the real ones stay
        self.score.reset()
        for batch, _ in batches:
            pictures = in_colour(batch.to(self.device))
            self.distance.update(pictures, real=False)
            self.score.update(pictures)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # which pictures make up which part
            return {"fid": float(self.distance.compute()), "inception_score": float(self.score.compute()[0])}


def in_colour(pictures: Tensor) -> Tensor:
    """[-1, 1] to [0, 1], grey to three colours."""
    return ((pictures + 1) / 2).clamp(0, 1).expand(-1, 3, -1, -1)

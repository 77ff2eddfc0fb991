"""What is measured of SMYRF's generators: the mass that clusters capture, scores and likeness by hand, and what Inception-v3 is asked."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from projects.smyrf.models.biggan import Attend
from projects.smyrf.tasks.gan import attention_swap, inception, scores
from projects.smyrf.tasks.gan.attention_swap import Likeness
from regard_lab.common.errors import DataMissing


def test_captured_mass_against_a_plain_count():
    """One round, directions known: the mass of the dense softmax on each query's own cluster."""
    torch.manual_seed(0)
    q, k, v = torch.randn(1, 1, 32, 4), torch.randn(1, 1, 8, 4), torch.eye(8)[None, None]
    attend = Attend("smyrf", rounds=1, cluster_size=8).eval()
    attend.seed = 5
    met = attend(q, k, v) > 0  # its weights are positive exactly on the keys met
    expected = ((q @ k.mT).softmax(-1) * met).sum(-1).mean()
    assert attention_swap.captured_mass(attend, q, k) == pytest.approx(float(expected), abs=1e-6)
    assert 0 < attention_swap.captured_mass(attend, q, k) < 1


def test_scores_by_hand():
    """Two Gaussians in one direction: ‖μ - μ'‖² + (σ - σ')² a coordinate; the Inception score of certain answers is the number of classes."""
    real, made = torch.randn(4000, scores.FEATURES).double(), torch.randn(4000, scores.FEATURES).double()
    real, made = whitened(real), whitened(made) * 2 + 3
    assert scores.frechet_distance(real, made) == pytest.approx(scores.FEATURES * (9 + 1), rel=1e-6)
    assert scores.frechet_distance(real, real) == pytest.approx(0, abs=1e-6)
    certain = 1e4 * F.one_hot(torch.arange(10_000) % 10, 10)
    assert scores.inception_score(certain.float()) == pytest.approx(10, abs=0.05)
    assert scores.inception_score(torch.zeros(100, 10)) == pytest.approx(1)


def whitened(x: torch.Tensor) -> torch.Tensor:
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(torch.cov(x.T)).T)


def test_likeness_by_hand():
    likeness = Likeness()
    one, other = torch.full((2, 1, 16, 16), -1.0), torch.full((2, 1, 16, 16), 1.0)
    labels = torch.tensor([3, 4])
    passed = list(likeness.passing([(one, labels)], [(other, labels)]))
    assert torch.equal(passed[0][0], one)
    assert likeness.means()["pixel_distance"] == 100  # black for white
    assert likeness.means()["similarity"] < 0.01


class FakeDistance(nn.Module):
    def __init__(self, **options) -> None:
        super().__init__()
        self.real, self.made, self.options = [], [], options

    def update(self, batch, real=None) -> None:
        assert batch.shape[1] == 3
        assert 0 <= batch.min() <= batch.max() <= 1
        (self.real if real else self.made).append(len(batch))

    def reset(self) -> None:
        self.made = []
        self.real = [] if self.options.get("reset_real_features", True) else self.real

    def compute(self):
        return torch.tensor([float(sum(self.made)), float(sum(self.real))])[: 1 + bool(self.real)].sum(), 0


def test_inception_is_asked_for_or_named_as_missing(monkeypatch):
    batches = [(torch.randn(4, 1, 8, 8), torch.zeros(4)), (torch.randn(2, 1, 8, 8), torch.zeros(2))]
    monkeypatch.setattr(inception, "InceptionScore", FakeDistance)
    monkeypatch.setattr(inception, "FrechetInceptionDistance", FakeDistance)
    judge = inception.InceptionJudge([torch.randn(10, 1, 8, 8)])
    monkeypatch.setattr(judge.distance, "compute", lambda: torch.tensor(float(sum(judge.distance.made))))
    assert judge.scores(batches, 6) == {"fid": 6.0, "inception_score": 6.0}
    assert judge.scores(batches, 6)["fid"] == 6.0  # the pictures before are forgotten
    assert judge.distance.real == [10]

    def missing(**options):
        raise ModuleNotFoundError("torch-fidelity is not installed")

    monkeypatch.setattr(inception, "FrechetInceptionDistance", missing)
    with pytest.raises(DataMissing, match=r"Inception-v3 is not available .*pip install torch-fidelity"):
        inception.InceptionJudge([])

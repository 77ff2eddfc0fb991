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


class Features(nn.Module):
    """Stands in for Inception-v3: three numbers of each picture."""

    num_features = 3

    def forward(self, pictures):
        assert pictures.shape[1] == 3
        assert 0 <= pictures.min() <= pictures.max() <= 1
        return torch.stack([pictures.mean((1, 2, 3)), pictures.amax((1, 2, 3)), pictures[:, 0, 0, 0]], 1)


class Score(nn.Module):
    """Stands in for the Inception score: counts the pictures that it is given."""

    def __init__(self, normalize: bool) -> None:
        super().__init__()
        self.reset()

    def reset(self) -> None:
        self.seen = 0

    def update(self, pictures) -> None:
        self.seen += len(pictures)

    def compute(self):
        return torch.tensor(float(self.seen)), 0


def distance_over(features):
    """torchmetrics' own distance, whose network is `features`."""

    class Distance(inception.FrechetInceptionDistance):
        def __init__(self, **options) -> None:
            super().__init__(feature=features, input_img_size=(3, 8, 8), **options)

    return Distance


def test_a_judge_with_stored_moments_scores_as_one_that_saw_the_real_pictures(monkeypatch):
    monkeypatch.setattr(inception, "InceptionScore", Score)
    monkeypatch.setattr(inception, "FrechetInceptionDistance", distance_over(Features()))
    real = [torch.rand(10, 1, 8, 8) * 2 - 1 for _ in range(2)]
    made = [(torch.rand(count, 1, 8, 8) - 1, torch.zeros(count)) for count in (8, 4)]
    judge = inception.InceptionJudge(inception.moments_of(real))
    scores_of = judge.scores(made, 12)
    whole = inception.FrechetInceptionDistance(normalize=True)
    for batch in real:
        whole.update(inception.in_colour(batch), real=True)
    for batch, _ in made:
        whole.update(inception.in_colour(batch), real=False)
    assert scores_of == {"fid": float(whole.compute()), "inception_score": 12}
    assert judge.scores(made, 12) == scores_of  # the pictures before are forgotten, the real ones are not


def test_inception_that_is_not_to_be_had_is_one_sentence(monkeypatch):
    def missing(**options):
        raise ModuleNotFoundError("torch-fidelity is not installed")

    monkeypatch.setattr(inception, "FrechetInceptionDistance", missing)
    with pytest.raises(DataMissing, match=r"Inception-v3 is not available .*pip install torch-fidelity"):
        inception.moments_of([])
    with pytest.raises(DataMissing, match=r"Inception-v3 is not available"):
        inception.InceptionJudge({})

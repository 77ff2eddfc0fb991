"""The analysis on a small generator: what is caught is what its block attends to, and SMYRF may stand in its place."""

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from projects.smyrf.analyses.attention_maps import (
    cluster_membership,
    hash_ablation,
    singular_values,
    sparsity,
    subjects,
)
from projects.smyrf.analyses.attention_maps.clusters import Clustering
from projects.smyrf.analyses.attention_maps.hash_ablation import captured_mass, of_layer
from projects.smyrf.analyses.attention_maps.subjects import subject_of_generator
from projects.smyrf.analyses.attention_maps.vectors import capture, dense, result_with
from projects.smyrf.checks import check
from projects.smyrf.config import PROJECT, Config, Network
from projects.smyrf.models.biggan import Attend, Generator
from regard_lab.experiment.composition import compose
from regard_lab.experiment.config import typed
from tests.paths import ROOT

NETWORK = Network(16, 3, 4, 8, [2, 2, 2], [1, 2], 12, 0, False, 8)


def test_a_generator_is_caught_and_swapped() -> None:
    torch.manual_seed(0)
    made = Generator(NETWORK, Attend("softmax")).eval()
    with torch.no_grad():
        made.attention.gamma.fill_(1.0)
    latents, labels = torch.randn(2, 12), torch.tensor([0, 3])
    subject = subject_of_generator(made, latents, labels)
    with torch.no_grad():
        expected = made(latents, labels).flatten(1)
    caught = capture(subject)
    torch.testing.assert_close(caught.result, expected)
    (x,) = caught.layers
    assert (x.q.shape, x.k.shape, x.v.shape) == ((2, 1, 64, 2), (2, 1, 16, 2), (2, 1, 16, 8))
    assert subject.grid == (8, 8)
    torch.testing.assert_close(dense(x), torch.softmax(x.q @ x.k.mT, -1) @ x.v)
    clustering = Clustering(2, 16)
    directions = clustering.directions(x, 0, 0)
    swapped = result_with(subject, lambda layer, y: clustering.attend(y, directions))
    assert not torch.allclose(swapped, expected)
    queries, keys = clustering.labels(x, directions)
    assert keys[0, 0, 0].bincount().tolist() == [4] * 4  # a quarter as many keys as queries in a cluster
    mass, error = of_layer(x, clustering, 0, 0)
    assert mass == captured_mass(x, queries, keys)
    assert 0 < mass < 1
    assert error > 0
    with torch.no_grad():
        assert torch.equal(made(latents, labels).flatten(1), expected)  # its own attention is back


TABLES = {
    "lsh_ablation": hash_ablation,
    "singular_values": singular_values,
    "sparsity": sparsity,
    "cluster_membership": cluster_membership,
}
SMALL = ("gan.network.width=8", "attention.cluster_size=64")


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """A generator as it is before training, with an attention that counts, in place of the trained one; and what was asked for."""
    asked = []

    def weights(config: Config) -> dict[str, torch.Tensor]:
        asked.append((config.seed, config.gan.trained.name))
        assert torch.is_grad_enabled()  # so that it could be trained here
        assert not torch.is_inference_mode_enabled()
        torch.manual_seed(0)
        made = Generator(config.gan.network, Attend("softmax"))
        made.attention.gamma.data.fill_(1.0)
        return made.state_dict()

    monkeypatch.setattr(subjects, "generators", SimpleNamespace(**vars(subjects.generators) | {"weights": weights}))
    for cached in (subjects._subject, subjects._captured):
        cached.cache_clear()
    return asked


@pytest.mark.parametrize(("scale", "queries"), [("quick", 1024), ("paper", 4096)])
@pytest.mark.parametrize("table", TABLES)
def test_a_cell_of_every_table_runs_on_the_generator(
    table: str, scale: str, queries: int, untrained: list, tmp_path: Path
) -> None:
    """At `paper` scale on two latents, with narrow maps of the released size in place of the released weights."""
    words = [
        f"table={table}",
        f"scale={scale}",
        f"experiment={'ablation' if table == 'lsh_ablation' else 'analysis'}_gan",
        "seed=3",
        *SMALL,
    ]
    words += ["analysis.examples=2"] if scale == "paper" else []
    composed = compose(PROJECT, ROOT, words)
    config = typed(Config, composed.config)
    check(config)
    measured = TABLES[table].measure(config, tmp_path)
    assert untrained == [(0, "softmax")]  # one generator, whatever the cell's seed
    assert set(measured.metrics) == set(composed.spec.metrics)
    assert all(math.isfinite(value) for value in measured.metrics.values())
    if table == "lsh_ablation":
        assert measured.metrics["score_memory"] == pytest.approx(100 * config.attention.rounds * 64 / queries)
    if table == "cluster_membership":
        assert measured.metrics["clusters"] == queries // 64
    assert TABLES[table].measure(config, tmp_path) == measured


def test_seeds_are_other_latents_and_the_first_shows_its_picture(untrained: list, tmp_path: Path) -> None:
    words = ["table=cluster_membership", "scale=quick", "experiment=analysis_gan", *SMALL]
    one, other = (typed(Config, compose(PROJECT, ROOT, [*words, f"seed={seed}"]).config) for seed in (0, 1))
    first = subjects.subject_of(one, tmp_path)
    assert first.pictures.shape == (2, 32, 32)
    assert not torch.equal(first.pictures, subjects.subject_of(other, tmp_path).pictures)
    assert set(cluster_membership.measure(one, tmp_path).exhibits) == {"heads", "matrix", "picture", "layer"}


def test_the_paper_scale_takes_the_released_generator() -> None:
    composed = compose(PROJECT, ROOT, ["table=singular_values", "scale=paper", "experiment=analysis_gan"]).config
    check(typed(Config, composed))
    assert composed["analysis"]["tokens"] == 4096
    assert composed["gan"]["evaluation"]["released"] is True

"""The tables of SMYRF's generators: their configs, cells on made-up pictures, `paper` scale run dry, and figures."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn.utils.parametrizations import _SpectralNorm

from projects.smyrf.checks import check
from projects.smyrf.config import PROJECT, Config, TrainingAttention
from projects.smyrf.data import pictures
from projects.smyrf.figures import generators as figures
from projects.smyrf.models.biggan import Attend, Generator
from projects.smyrf.tasks.gan import attention_swap, generators, inception, resolutions, training
from regard_lab.common.files import read_json
from regard_lab.common.images import decode
from regard_lab.experiment.composition import compose
from regard_lab.experiment.config import typed
from regard_lab.experiment.results import Curve, DataUse, Metric, Result, Row
from regard_lab.experiment.tables import load_table
from regard_lab.report.figures import Results
from tests.configs import configs_of
from tests.paths import ROOT

config_of = configs_of(PROJECT, default="table=glue")


TINY = (
    "gan.network.width=4",
    "gan.training.batch_size=4",
    "gan.training.chunk_steps=1",
    "gan.evaluation.images=20",
    "gan.evaluation.batch_size=10",
    "gan.evaluation.timings=1",
    "gan.evaluation.shown=[0,1]",
)


def test_rows_have_the_memory_that_they_stand_for():
    for scale, queries, expected in (
        ("laptop", 1024, [1.5625, 3.125, 6.25, 12.5, 25, 50, 100]),
        ("paper", 4096, [1.5625, 3.125, 6.25, 12.5, 25, 50, 100]),
    ):
        configs = [typed(Config, row[0].config) for row in load_table("smyrf", "biggan_swap", scale, ROOT).rows]
        assert sorted({attention_swap.score_memory(config.attention, queries) for config in configs}) == expected
    rows = [typed(Config, row[0].config) for row in load_table("smyrf", "celeba_training", "laptop", ROOT).rows]
    shares = [attention_swap.score_memory(c.attention, c.gan.network.attention_resolution**2) / 100 for c in rows]
    entries = [share * c.gan.network.attention_resolution**4 / 4 for share, c in zip(shares, rows, strict=True)]
    assert entries == [16_384, 16_384, 262_144]  # as many in the first two


@pytest.fixture
def toy_data(monkeypatch, tmp_path):
    random = np.random.default_rng(0)

    def split(n):
        labels = np.arange(n) % 10
        images = random.integers(0, 60, (n, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[2 * label : 2 * label + 4] = 255
        return SimpleNamespace(images=images, labels=labels)

    parts = {"train": split(200), "validation": split(20), "test": split(40)}
    monkeypatch.setattr(pictures.data, "load", lambda name, root, source: parts)
    for name, few in {"STANDING_BATCHES": 2, "STANDING_SIZE": 10, "SHOWN": 8}.items():
        monkeypatch.setattr(training, name, few)
    monkeypatch.setattr(pictures.data, "ensure", lambda *_: None)
    # On the `meta` device the iterations that begin a spectral norm compute nothing, and are four fifths of a cell's time here.
    iterate = _SpectralNorm._power_method
    monkeypatch.setattr(
        _SpectralNorm, "_power_method", lambda self, weight, n: None if weight.is_meta else iterate(self, weight, n)
    )
    monkeypatch.setattr("regard_lab.experiment.artefacts.code_fingerprint", lambda modules, root: "code")
    monkeypatch.setattr("regard_lab.experiment.artefacts.data.expected_checksum", lambda *_: "data")
    monkeypatch.chdir(tmp_path)


def test_cells_share_a_generator_and_swap_its_attention(toy_data, tmp_path):
    cells = {
        name: attention_swap.measure(config_of("table=biggan_swap", *TINY, *overrides), tmp_path)
        for name, overrides in {
            "dense": ["attention.name=softmax"],
            "one": ["attention.rounds=1", "attention.cluster_size=1024"],
            "few": ["attention.rounds=1", "attention.cluster_size=16"],
            "reverse": ["gan.trained.name=smyrf", "attention.name=softmax"],
        }.items()
    }
    assert (
        len(list((tmp_path / "runs/artefacts").glob("train-*/generator-000002.pt"))) == 2
    )  # dense and smyrf, each once
    dense, one, few = (cells[name].metrics for name in ("dense", "one", "few"))
    assert dense["pixel_distance"] == 0
    assert dense["similarity"] == pytest.approx(1)
    assert one["fid"] == pytest.approx(dense["fid"], rel=1e-4)  # one cluster is dense attention
    assert one["captured_mass"] == pytest.approx(100)
    assert few["pixel_distance"] > one["pixel_distance"]
    assert few["captured_mass"] < 100
    assert few["score_memory"] == 1.5625
    assert dense["classifier_accuracy"] == few["classifier_accuracy"]
    assert dense["fid_of_real"] < dense["fid"]
    assert decode(cells["few"].exhibits["pictures"]).shape == (65, 32)
    spec = load_table("smyrf", "biggan_swap", "quick", ROOT).spec
    assert set(spec.metrics) == set(dense)


def test_a_training_is_scored_at_every_snapshot(toy_data, tmp_path):
    overrides = ("table=celeba_training", *TINY, "attention.name=softmax", "gan.network.attention_resolution=16")
    composed = compose(PROJECT, ROOT, list(overrides))
    measured = resolutions.train(typed(Config, composed.config), tmp_path)
    assert len(measured.curves["fid"]) == 2
    assert measured.curves["fid"][-1] == measured.metrics["fid"]
    assert measured.metrics["score_entries"] == 256 * 64
    (left,) = (tmp_path / "runs/artefacts").glob("train-*/training.json")
    assert measured.metrics["seconds_per_step"] == read_json(left)["seconds_per_step"]  # whatever the clock said
    assert set(composed.spec.metrics) == set(measured.metrics)


def test_latents_are_those_of_the_seed_whatever_the_attention():
    network = config_of("table=biggan_swap", *TINY).gan.network
    torch.manual_seed(0)
    state = Generator(network, Attend("softmax")).state_dict()
    one, other = (
        generators.generator(network, state, TrainingAttention("softmax", 1, 4)),
        generators.generator(network, state, TrainingAttention("smyrf", 2, 1024)),
    )
    a, b = (list(generators.pictures(made, 30, 20, seed=1)) for made in (one, other))
    assert [len(labels) for _, labels in a] == [20, 10]
    assert all(torch.allclose(x, y, atol=1e-5) for (x, _), (y, _) in zip(a, b, strict=True))
    assert torch.cat([labels for _, labels in a]).bincount().tolist() == [3] * 10
    again = list(generators.pictures(one, 30, 20, seed=1))
    assert torch.equal(a[0][0], again[0][0])
    assert generators.latents(500, network, torch.Generator().manual_seed(0), 0.5).abs().max() == 0.5


# -- `paper` scale, dry


@pytest.fixture
def large_pictures(toy_data, monkeypatch):
    """A few made-up pictures of the released size, and an Inception-v3 that only counts what it is given."""
    random = np.random.default_rng(0)
    split = SimpleNamespace(images=random.integers(0, 255, (8, 128, 128, 3), dtype=np.uint8), labels=np.arange(8))
    monkeypatch.setattr(pictures.data, "load", lambda name, root, source: {"train": split, "test": split})
    monkeypatch.setattr(training, "STANDING_SIZE", 2)
    for name in ("FrechetInceptionDistance", "InceptionScore"):
        monkeypatch.setattr(inception, name, CountingInception)


class CountingInception:
    """What torchmetrics' two scores are asked: the pictures that were made, as a number."""

    def __init__(self, **options) -> None:
        self.made, self.device = 0, torch.device("cpu")
        self.real_features_num_samples = self.real_features_sum = self.real_features_cov_sum = torch.zeros(1)

    def to(self, device) -> "CountingInception":
        return self

    def update(self, batch, real=False) -> None:
        assert batch.shape[1:] == (3, 128, 128)
        self.made += 0 if real else len(batch)
        self.real_features_num_samples = self.real_features_num_samples + (len(batch) if real else 0)

    def reset(self) -> None:
        self.made = 0

    def compute(self) -> "PairOf":
        return PairOf(self.made)


class PairOf(float):
    """A number that is its own first part."""

    def __getitem__(self, place: int) -> float:
        return float(self)


NARROW = (
    "scale=paper",
    "gan.network.width=8",
    "gan.evaluation.images=4",
    "gan.evaluation.batch_size=2",
    "gan.evaluation.timings=1",
)


def test_a_swap_of_released_size_runs_dry(large_pictures, monkeypatch, tmp_path):
    """Every setting of `paper` scale but the width, the number of pictures and the weights."""
    state = Generator(config_of("table=biggan_swap", *NARROW).gan.network, Attend("softmax")).state_dict()
    monkeypatch.setattr(generators, "released", lambda checkpoint: state)
    composed = compose(PROJECT, ROOT, ["table=biggan_swap", *NARROW, "attention.rounds=4", "attention.cluster_size=32"])
    measured = attention_swap.measure(typed(Config, composed.config), tmp_path)
    assert set(measured.metrics) == set(composed.spec.metrics)
    assert measured.metrics["score_memory"] == 3.125  # the script's default, of 4,096 queries
    assert measured.metrics["fid"] == measured.metrics["inception_score"] == 4
    (moments,) = (tmp_path / "runs" / "artefacts").glob("reference_moments-*/moments.pt")
    assert torch.load(moments)["real_features_num_samples"] == 8
    read = pictures.data.load
    monkeypatch.setattr(
        pictures.data, "load", lambda *_: pytest.fail("the real pictures are read by the first cell alone")
    )
    attention_swap.judge_of(typed(Config, composed.config))
    monkeypatch.setattr(pictures.data, "load", read)
    assert decode(measured.exhibits["pictures"]).shape[:2] == (4 * 128 + 3, 128)


@pytest.mark.parametrize(
    "row",
    [
        ("attention.name=softmax", "gan.network.attention_resolution=64"),
        (
            "attention.name=smyrf",
            "gan.network.attention_resolution=128",
            "attention.rounds=4",
            "attention.cluster_size=2048",
        ),
        ("attention.name=softmax", "gan.network.attention_resolution=128"),
    ],
)
def test_a_training_of_released_size_runs_dry(row, large_pictures, monkeypatch, tmp_path):
    """One step of two pictures, and its score."""
    few = (
        "gan.training.batch_size=2",
        "gan.training.chunks=1",
        "gan.training.chunk_steps=1",
        "gan.training.snapshots=1",
    )
    composed = compose(PROJECT, ROOT, ["table=celeba_training", *NARROW, *few, *row])
    config = typed(Config, composed.config)
    check(config)
    assert config.gan.training.discriminator_steps == 2
    measured = resolutions.train(config, tmp_path)
    assert set(measured.metrics) == set(composed.spec.metrics)
    assert measured.curves["fid"] == [4]
    queries = config.gan.network.attention_resolution**2
    share = 0.5 if config.attention.name == "smyrf" else 1
    assert measured.metrics["score_entries"] == share * queries * queries / 4


# -- figures


def a_result(table: str, rows: list[Row]) -> Result:
    record = {
        "identity": {"config": {"gan": {"training": {"chunks": 4, "snapshots": 2, "chunk_steps": 50}}}},
        "exhibits": {"pictures": attention_swap.encode(np.zeros((5, 2), np.uint8))},
    }
    cells = {cell: record for row in rows for cell in row.cells}
    return Result("smyrf", table, "laptop", "f", [DataUse("fashion_mnist", "ImageNet", "s")], rows, cells)


def a_row(key: dict[str, str | int], memory: float) -> Row:
    metrics = {"score_memory": Metric.of([memory] * 2, "%"), "fid": Metric.of([10.0, 12.0], "")}
    name = "-".join(map(str, key.values()))
    return Row(key, metrics, "ok", "", [0, 1], [f"{name}-0", f"{name}-1"], {"fid": Curve("", [[9.0, 3.0], [8.0, 4.0]])})


def test_figures():
    smyrf = {"trained": "softmax", "attention": "smyrf"}
    rows = [
        a_row({"trained": "softmax", "attention": "softmax"}, 100),
        a_row(smyrf | {"rounds": 1, "cluster_size": 512}, 50),
        a_row(smyrf | {"rounds": 2, "cluster_size": 256}, 50),
        a_row(smyrf | {"rounds": 2, "cluster_size": 32}, 6.25),
        a_row({"trained": "smyrf", "attention": "softmax"}, 100),
    ]
    results = Results(
        [a_result("biggan_swap", rows), a_result("celeba_training", [a_row({"attention": "smyrf"}, 6.25)])]
    )
    made = {name: maker(results) for name, maker in figures.FIGURES.items()}
    assert all(made.values())
    panels = [axes.get_xlabel() for axes in made["biggan_degradation"].axes]
    assert panels == ["6.25 %", "50 %", "100 %"]  # one per memory, and not the generator trained with SMYRF
    line = made["celeba_training"].axes[0].lines[0]
    assert list(line.get_xdata()) == [100, 200]  # generator steps, from the record's config
    assert list(line.get_ydata()) == [8.5, 3.5]
    assert all(maker(Results([])) is None for maker in figures.FIGURES.values())

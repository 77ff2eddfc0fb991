"""Every data set with a source on the hub, read by the hub's real client from folders in the hub's own schema.

With REGARD_HUB=1 the same tests ask the real hub: that the first row of each split has the columns of the folder here,
and that the smaller sets have their official sizes.
"""

import importlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regard_lab import data
from regard_lab.common.errors import DataMissing
from regard_lab.data.hub import FOLDER, load_hub, stream_hub
from tests.regard_lab.data import mini_hub

pytest.importorskip("datasets")

REAL = bool(os.environ.get("REGARD_HUB"))
SETS = sorted(name for name in data.names() if any(source.name == "hub" for source in data.card(name).sources))
SMALL = ("cifar10", "cifar100", "fashion_mnist", "glue", "imdb", "mnist")

# What makes a module content with a few rows; sizes by split are then what it must give.
FEW: dict[str, dict[str, Any]] = {
    "amazon_polarity": {"VALIDATION": 2},
    "cifar10": {"VALIDATION": 2},
    "cifar100": {"VALIDATION": 2},
    "fashion_mnist": {"VALIDATION": 2},
    "imagenet_1k": {"HELD_OUT": 2},
    "mnist": {"VALIDATION": 2},
    "openwebtext": {"SIZES": {"train": 3, "validation": 1, "test": 2}},
}
SIZES = {
    "amazon_polarity": {"train": 4, "validation": 2, "test": 2},
    **{name: {"train": 3, "validation": 2, "test": 2} for name in ("cifar10", "cifar100", "fashion_mnist", "mnist")},
    "imagenet_1k": {"train": 2, "validation": 2, "test": 2},
    "imdb": {"train": 36, "validation": 4, "test": 6},
    "lj_speech": {"train": 2},
    "multi_news": {"train": 1, "validation": 1, "test": 1},
    "openwebtext": {"train": 3, "validation": 1, "test": 2},
    "pg19": {"train": 3, "validation": 1, "test": 2},
}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the copies of the hub's repositories, and a cache of its own for the client."""
    datasets = importlib.import_module("datasets")
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setenv(FOLDER, str(folder))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    return folder


def read(name: str, hub: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    module: Any = data.module_of(name)
    for attribute, value in FEW.get(name, {}).items():
        monkeypatch.setattr(module, attribute, value)
    mini_hub.write(mini_hub.REPOSITORIES[name], hub)
    splits: dict[str, Any] = module.from_hub()
    return splits


def test_every_set_of_the_hub_is_here() -> None:
    assert sorted(mini_hub.REPOSITORIES) == SETS


@pytest.mark.parametrize("name", [name for name in SETS if name != "glue"])
def test_a_set_is_read_from_the_hubs_schema(name: str, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = read(name, hub, monkeypatch)
    assert {split: len(rows) for split, rows in splits.items()} == SIZES[name]
    form = data.module_of(name).FORM
    for split, rows in splits.items():
        for file, content in rows.files(split).items():
            (hub / file).write_bytes(content)
        assert list(form.read(hub, split).keys()) == list(rows.keys())


def test_glue_is_read_from_the_hubs_schema(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    splits = read("glue", hub, monkeypatch)
    assert set(splits) == set(data.card("glue").sizes)
    assert next(iter(splits["mnli_validation_mismatched"].rows())) == (
        "mnli premise validation_mismatched 0",
        "mnli hypothesis validation_mismatched 0",
        0.0,
    )
    assert list(splits["cola_train"].rows()) == [("cola sentence train 0", "", 0.0), ("cola sentence train 1", "", 1.0)]
    assert splits["stsb_validation"].scores.tolist() == [0.5, 1.5, 2.5]


def test_sound_pictures_and_labels_are_those_of_the_files(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speech = read("lj_speech", hub, monkeypatch)["train"]
    assert [speech.clip(index).tolist() for index in range(2)] == [[30] * 30, [50] * 50]
    assert speech.texts == ["In fourteen fifty-five,", "Mister Caslon"]
    images = read("cifar100", hub, monkeypatch)
    assert images["validation"].images[:, 0, 0].tolist() == [[3] * 3, [4] * 3]
    assert images["validation"].labels.tolist() == [3, 4]  # the fine ones
    squares = read("imagenet_1k", hub, monkeypatch)["test"]
    assert squares.images.shape == (2, 72, 72, 3)
    assert np.unique(squares.images[0]).tolist() == [50]  # grey as three equal colours


def test_a_fraction_of_a_corpus_opens_only_the_files_that_hold_it(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second file of OpenWebText is not even parquet: whoever opens it fails."""
    repository = mini_hub.REPOSITORIES["openwebtext"]
    folder = mini_hub.write(repository, hub) / "data"
    (folder / "train-00000-of-00001.parquet").rename(folder / "train-00000-of-00002.parquet")
    (folder / "train-00001-of-00002.parquet").write_bytes(b"not parquet")
    rows = stream_hub(repository.path, "train")
    assert [next(rows)["text"] for _ in range(7)] == mini_hub.sentences(7)
    with pytest.raises(DataMissing, match="Skylion007/openwebtext could not be fetched"):
        next(rows)


def test_a_repository_that_was_not_copied_is_one_sentence(hub: Path) -> None:
    with pytest.raises(
        DataMissing, match=r"REGARD_HUB_FOLDER has no copy of .* ylecun/mnist: `hf download ylecun/mnist"
    ):
        load_hub("ylecun/mnist")


def places(name: str) -> list[tuple[str, str]]:
    return [(config, split) for config, splits in mini_hub.REPOSITORIES[name].configs.items() for split in splits]


@pytest.mark.parametrize("name", SETS)
def test_columns_are_those_of_the_hub(name: str, hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first row of every split: of the folder here, and with REGARD_HUB=1 of the hub, which must have the same columns of the same kind."""
    repository = mini_hub.REPOSITORIES[name]
    mini_hub.write(repository, hub)
    undecoded = [column for column, kind in repository.features.items() if kind == "audio"]
    for config, split in places(name):
        rows = []
        for real in (False, True)[: 1 + REAL]:
            if real:
                monkeypatch.delenv(FOLDER)
            stream = stream_hub(repository.path, split, config, converted=repository.converted, undecoded=undecoded)
            rows.append({column: type(value).__mro__[-2].__name__ for column, value in next(stream).items()})
            monkeypatch.setenv(FOLDER, str(hub))
        assert set(rows[0]) == set(repository.configs[config][split])
        assert rows[-1] == rows[0]


@pytest.mark.skipif(not REAL, reason="asks the Hugging Face hub: REGARD_HUB=1")
@pytest.mark.parametrize("name", SMALL)
def test_sizes_are_those_of_the_hub(name: str, root: Path) -> None:
    data.prepare(name, root, "hub")

"""A hub of a few rows: every repository that a data set reads, with the columns, splits and files that it has on the Hugging Face hub.

The parquet files are written by the hub's own client, with the same features, so that pictures and sound are stored as the hub stores them.
"""

import importlib
import io
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

Rows = dict[str, list[Any]]
WORDS = ("red", "green", "blue", "old", "new", "small", "large", "slow", "quick", "warm")


@dataclass(frozen=True)
class Repository:
    """A data set's repository: rows by configuration and split, and its features by column.

    `folder` is where a configuration's files stand (`None`: in a folder of its name); `converted` ones are read from the hub's conversion.
    """

    path: str
    configs: dict[str, dict[str, Rows]]
    features: dict[str, str]
    folder: str | None = None
    converted: bool = False


def sentences(count: int, start: int = 0) -> list[str]:
    """Different sentences."""
    return [f"sentence {number} is {WORDS[number % 10]}" for number in range(start, start + count)]


def pictures(count: int, size: tuple[int, int], mode: str, start: int = 0) -> list[Image.Image]:
    """Different pictures of one colour each."""
    shape = (*size, 3) if mode == "RGB" else size
    return [Image.fromarray(np.full(shape, start + number, np.uint8), mode) for number in range(count)]


def sound(samples: int, value: int) -> bytes:
    """A WAV file of one channel, 16 bits and 22,050 Hz."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(22_050)
        file.writeframes(np.full(samples, value, "<i2").tobytes())
    return buffer.getvalue()


def glue() -> dict[str, dict[str, Rows]]:
    columns = {
        "cola": ("sentence",),
        "mnli": ("premise", "hypothesis"),
        "mrpc": ("sentence1", "sentence2"),
        "qnli": ("question", "sentence"),
        "qqp": ("question1", "question2"),
        "rte": ("sentence1", "sentence2"),
        "sst2": ("sentence",),
        "stsb": ("sentence1", "sentence2"),
    }
    configs: dict[str, dict[str, Rows]] = {}
    for task, names in columns.items():
        halves = ("validation_matched", "validation_mismatched") if task == "mnli" else ("validation",)
        configs[task] = {}
        for at, split in enumerate(("train", *halves)):
            texts: Rows = {name: [f"{task} {name} {split} {row}" for row in range(2 + at)] for name in names}
            labels = [0.5 + row if task == "stsb" else row % 2 for row in range(2 + at)]
            configs[task][split] = {**texts, "label": labels, "idx": list(range(2 + at))}
    return configs


def digits(column: str, label: str, size: int, mode: str, more: dict[str, list[int]] | None = None) -> dict[str, Rows]:
    """Five pictures for training and two for test."""
    train: Rows = {column: pictures(5, (size, size), mode), label: [0, 1, 2, 3, 4]}
    test: Rows = {column: pictures(2, (size, size), mode, start=100), label: [1, 2]}
    more = more or {}
    return {
        "train": train | {name: values * 5 for name, values in more.items()},
        "test": test | {name: values * 2 for name, values in more.items()},
    }


REPOSITORIES = {
    "amazon_polarity": Repository(
        "fancyzhx/amazon_polarity",
        {
            "amazon_polarity": {
                half: {
                    "label": [0, 1] * (count // 2),
                    "title": sentences(count, start),
                    "content": ["it works"] * count,
                }
                for half, count, start in (("train", 6, 0), ("test", 2, 50))
            }
        },
        {"label": "class", "title": "string", "content": "string"},
    ),
    "cifar10": Repository(
        "uoft-cs/cifar10", {"plain_text": digits("img", "label", 32, "RGB")}, {"img": "image", "label": "class"}
    ),
    "cifar100": Repository(
        "uoft-cs/cifar100",
        {"cifar100": digits("img", "fine_label", 32, "RGB", {"coarse_label": [7]})},
        {"img": "image", "fine_label": "class", "coarse_label": "class"},
    ),
    "fashion_mnist": Repository(
        "zalando-datasets/fashion_mnist",
        {"fashion_mnist": digits("image", "label", 28, "L")},
        {"image": "image", "label": "class"},
    ),
    "glue": Repository("nyu-mll/glue", glue(), {"label": "class", "idx": "int32"}),
    "imagenet_1k": Repository(
        "ILSVRC/imagenet-1k",
        {
            "default": {
                "train": {"image": pictures(4, (90, 100), "RGB"), "label": [0, 1, 2, 3]},
                "validation": {"image": pictures(2, (80, 75), "L", start=50), "label": [1, 2]},
                "test": {"image": pictures(1, (80, 75), "RGB", start=90), "label": [-1]},
            }
        },
        {"image": "image", "label": "class"},
        folder="data",
    ),
    "imdb": Repository(
        "stanfordnlp/imdb",
        {
            "plain_text": {
                "train": {"text": sentences(40), "label": [0] * 20 + [1] * 20},
                "test": {"text": sentences(6, 40), "label": [0, 0, 0, 1, 1, 1]},
                "unsupervised": {"text": sentences(3, 80), "label": [-1] * 3},
            }
        },
        {"text": "string", "label": "class"},
    ),
    "lj_speech": Repository(
        "keithito/lj_speech",
        {
            "main": {
                "train": {
                    "id": ["LJ001-0001", "LJ001-0002"],
                    "audio": [{"bytes": sound(n, n), "path": f"{n}.wav"} for n in (30, 50)],
                    "file": ["a.wav", "b.wav"],
                    "text": ["In 1455,", "Mr. Caslon"],
                    "normalized_text": ["In fourteen fifty-five,", "Mister Caslon"],
                }
            }
        },
        {"id": "string", "audio": "audio", "file": "string", "text": "string", "normalized_text": "string"},
        converted=True,
    ),
    "mnist": Repository(
        "ylecun/mnist", {"mnist": digits("image", "label", 28, "L")}, {"image": "image", "label": "class"}
    ),
    "multi_news": Repository(
        "alexfabbri/multi_news",
        {
            "default": {
                split: {"document": [f"{split} one \n ||||| two"], "summary": [f"– {split} both"]}
                for split in ("train", "validation", "test")
            }
        },
        {"document": "string", "summary": "string"},
        converted=True,
    ),
    "openwebtext": Repository(
        "Skylion007/openwebtext", {"default": {"train": {"text": sentences(7)}}}, {"text": "string"}, folder="data"
    ),
    "pg19": Repository(
        "emozilla/pg19",
        {
            "default": {
                split: {
                    "short_book_title": [f"{split} {n}" for n in range(count)],
                    "publication_date": [1850] * count,
                    "url": ["http://www.gutenberg.org/ebooks/1"] * count,
                    "text": [f"{split}\nbook {n}" for n in range(count)],
                }
                for split, count in (("train", 3), ("validation", 1), ("test", 2))
            }
        },
        {"short_book_title": "string", "publication_date": "int32", "url": "string", "text": "string"},
        folder="data",
    ),
}


def write(repository: Repository, hub: Path) -> Path:
    """Write a repository below `hub`, as `hf download --local-dir` would; its folder."""
    target = hub / repository.path
    lines = ["---", "configs:"]
    for at, (config, splits) in enumerate(repository.configs.items()):
        lines += [f"- config_name: {config}", "  data_files:"]
        for split, rows in splits.items():
            if repository.converted:
                write_rows(rows, repository.features, target / config / split / "0000.parquet")
                continue
            folder = repository.folder or config
            write_rows(rows, repository.features, target / folder / f"{split}-00000-of-00001.parquet")
            lines += [f"  - split: {split}", f"    path: {folder}/{split}-*"]
        lines += ["  default: true"] if len(repository.configs) == 1 and at == 0 and config != "default" else []
    if not repository.converted:
        (target / "README.md").write_text("\n".join([*lines, "---", ""]), encoding="utf-8")
    return target


def write_rows(rows: Rows, features: dict[str, str], path: Path) -> None:
    """One parquet file, with the hub's features. Sound is stored as its bytes, which the client does without a codec."""
    datasets = importlib.import_module("datasets")
    types = {}
    for name, values in rows.items():
        match features.get(name, "string"):
            case "image":
                types[name] = datasets.Image()
            case "audio":
                types[name] = {"bytes": datasets.Value("binary"), "path": datasets.Value("string")}
            case "class" if any(isinstance(value, float) for value in values):
                types[name] = datasets.Value("float32")
            case "class":
                types[name] = datasets.ClassLabel(num_classes=10)
            case kind:
                types[name] = datasets.Value(kind)
    table = datasets.Dataset.from_dict(rows, features=datasets.Features(types))
    for name in (name for name, kind in features.items() if kind == "audio"):
        table = table.cast_column(name, datasets.Audio(sampling_rate=22_050))
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(str(path))

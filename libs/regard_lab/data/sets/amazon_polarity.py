"""Amazon polarity: 3.6 million product reviews for training, 400,000 for test, positive (1) or negative (0); the last 100,000 of train validate."""

import csv
from collections.abc import Iterator
from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.hub import load_hub
from regard_lab.data.texts import Texts

FORM = Texts
VALIDATION = 100_000
HUB = "fancyzhx/amazon_polarity"

CARD = Card(
    name="amazon_polarity",
    title="Amazon reviews, polarity",
    stands_in_for=None,
    licence="Apache-2.0 on the hub; the reviews are their authors'",
    citation="Zhang, Zhao, LeCun: Character-level Convolutional Networks for Text Classification. NeurIPS 2015.",
    homepage="https://huggingface.co/datasets/fancyzhx/amazon_polarity",
    sources=(
        Source("hub", HUB, {"train": 3_500_000, "validation": VALIDATION, "test": 400_000}),
        Source("folder", "train.csv and test.csv, lines of class (1 or 2), title and text", {}),
    ),
    note="Title and text, in this order. Validation is the last 100,000 of the official train half.",
)


def from_hub() -> dict[str, Texts]:
    """The official halves."""
    halves = load_hub(HUB)
    train, test = (
        Texts.of(
            (f"{title} {text}", int(label))
            for title, text, label in zip(
                halves[half]["title"], halves[half]["content"], halves[half]["label"], strict=True
            )
        )
        for half in ("train", "test")
    )
    return splits(train, test)


def from_folder(folder: Path) -> dict[str, Texts]:
    """The two files of the set's authors."""
    return splits(*(Texts.of(lines(folder / f"{half}.csv")) for half in ("train", "test")))


def lines(path: Path) -> Iterator[tuple[str, int]]:
    """(title and text, label) of each line; a malformed line raises a `UserError` with its number."""
    if not path.exists():
        raise UserError(f"Amazon polarity needs train.csv and test.csv; missing: {path.name}")
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            if len(row) != 3 or row[0] not in ("1", "2"):
                raise UserError(
                    f"line {number} of {path} is not class (1 or 2), title and text: {','.join(row)[:60]!r}"
                )
            yield f"{row[1]} {row[2]}", int(row[0]) - 1


def splits(train: Texts, test: Texts) -> dict[str, Texts]:
    """The last `VALIDATION` of train are held out."""
    if len(train) <= VALIDATION:
        raise UserError(
            f"Amazon polarity's train half has {len(train):,} reviews, too few to keep {VALIDATION:,} for validation"
        )
    rows = list(train.rows())
    return {"train": Texts.of(rows[:-VALIDATION]), "validation": Texts.of(rows[-VALIDATION:]), "test": test}

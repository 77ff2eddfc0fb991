"""PG-19: 28,752 books of Project Gutenberg that were published before 1919, 11 GB of running text, in the official splits of books."""

from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.hub import stream_hub
from regard_lab.data.texts import Texts

FORM = Texts
SIZES = {"train": 28_602, "validation": 50, "test": 100}
HUB = "emozilla/pg19"

CARD = Card(
    name="pg19",
    title="PG-19",
    stands_in_for=None,
    licence="Apache-2.0 for the set; the books are in the public domain in the United States",
    citation="Rae, Potapenko, Jayakumar, Hillier, Lillicrap: Compressive Transformers for Long-Range Sequence Modelling. ICLR 2020.",
    homepage="https://github.com/google-deepmind/pg19",
    sources=(
        Source("hub", HUB, SIZES),
        Source("folder", "train/, validation/ and test/ of gs://deepmind-gutenberg, one .txt file per book", SIZES),
    ),
    note="A text is a whole book. The hub's set of the authors is a script that current clients do not run; this is a copy of it as parquet files.",
)


def from_hub() -> dict[str, Texts]:
    """The official splits."""
    return {split: Texts.of((row["text"], 0) for row in stream_hub(HUB, split)) for split in SIZES}


def from_folder(folder: Path) -> dict[str, Texts]:
    """The files of the set's authors, by their numbers."""
    return {split: books(folder / split) for split in SIZES}


def books(folder: Path) -> Texts:
    """Every book of a folder, in the order of the names of their files."""
    paths = sorted(folder.glob("*.txt"))
    if not paths:
        raise UserError(f"{folder} holds no .txt; the folder holds {CARD.source('folder').where}")
    return Texts.of((path.read_text(encoding="utf-8"), 0) for path in paths)

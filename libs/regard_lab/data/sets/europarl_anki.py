"""Europarl and Anki, English to Spanish: proceedings of the European Parliament, and short sentences for learners.

Of equal English texts only the first is kept.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.pairs import Pairs
from regard_lab.data.texts import drawn, normalised

FORM = Pairs
SEED = "europarl anki 0"
SIZES = {"validation": 20_000, "test": 20_000, "train": 1_400_000}  # of about two million, drawn by the English text
EUROPARL, ANKI = "europarl-v7.es-en", "spa.txt"

CARD = Card(
    name="europarl_anki",
    title="Europarl and Anki, English and Spanish",
    stands_in_for=None,
    licence="Europarl: no known restriction; Anki's sentences, of Tatoeba: CC BY 2.0 FR",
    citation="Koehn: Europarl, A Parallel Corpus for Statistical Machine Translation. MT Summit 2005. Sentences of tatoeba.org, by manythings.org.",
    homepage="https://www.statmt.org/europarl/",
    sources=(
        Source("folder", f"{EUROPARL}.en and {EUROPARL}.es of the seventh release, and {ANKI} of spa-eng.zip", SIZES),
    ),
    note="How the paper mixes and splits the two is not known: 1,440,000 pairs are drawn by the English text.",
)


def from_folder(folder: Path) -> dict[str, Pairs]:
    """Pairs of the three files, drawn from all of them."""
    pairs: dict[str, tuple[str, str]] = {}
    for source, target in (*parliament(folder), *learners(folder)):
        if (key := normalised(source)) and target.strip():
            pairs.setdefault(key, (source.strip(), target.strip()))
    if len(pairs) < sum(SIZES.values()):
        raise UserError(f"{folder} has {len(pairs):,} different pairs, {sum(SIZES.values()):,} are needed")
    keys = iter(drawn(pairs, SEED))
    return {part: Pairs.of(pairs[key] for key in itertools.islice(keys, size)) for part, size in SIZES.items()}


def parliament(folder: Path) -> Iterator[tuple[str, str]]:
    """The lines of the two files, which correspond line by line."""
    sides = [read(folder / f"{EUROPARL}.{language}") for language in ("en", "es")]
    if len(sides[0]) != len(sides[1]):
        raise UserError(f"{EUROPARL}.en has {len(sides[0]):,} lines and {EUROPARL}.es {len(sides[1]):,}")
    return zip(*sides, strict=True)


def learners(folder: Path) -> Iterator[tuple[str, str]]:
    """English, a tab, Spanish; what follows another tab is ignored."""
    for number, line in enumerate(read(folder / ANKI), start=1):
        source, tab, rest = line.partition("\t")
        if not tab:
            raise UserError(f"line {number} of {folder / ANKI} has no tab between its languages: {line[:60]!r}")
        yield source, rest.partition("\t")[0]


def read(path: Path) -> list[str]:
    """The lines of a file; split at line feeds alone, because other breaks occur inside Europarl's lines."""
    if not path.exists():
        raise UserError(f"{path} does not exist; the folder holds {CARD.source('folder').where}")
    return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")

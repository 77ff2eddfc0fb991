"""Anki, English to Spanish: short sentences for learners, 118,964 pairs, the file of the Keras example on translation.

One English sentence may have several translations: all pairs of one sentence (without case and punctuation) are in one
split, so that no test sentence was trained on. The example draws individual pairs, and so tests on sentences that it
has trained on.
"""

from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.pairs import Pairs
from regard_lab.data.sets.europarl_anki import ANKI, learners
from regard_lab.data.texts import drawn, normalised

FORM = Pairs
SEED = "anki 0"
PAIRS = 118_964  # of the file of 13 May 2018
HELD_OUT = 17_844  # [Keras example] 15 % for validation, as many for test: at least so many, as sentences stay whole
SIZES = {"validation": 17_844, "test": 17_844, "train": 83_276}

CARD = Card(
    name="anki",
    title="Anki, English and Spanish",
    stands_in_for=None,
    licence="CC BY 2.0 FR",
    citation="Sentences of tatoeba.org, put together by manythings.org/anki, 13 May 2018.",
    homepage="https://www.manythings.org/anki/",
    sources=(
        Source("folder", f"{ANKI} of spa-eng.zip, as the Keras example on translation has it (13 May 2018)", SIZES),
    ),
    note="All 118,964 pairs; repeated English sentences are kept together in one split.",
)


def from_folder(folder: Path) -> dict[str, Pairs]:
    """Every pair of `spa.txt`, in the folder itself or in its `spa-eng`."""
    pairs = list(learners(folder if (folder / ANKI).exists() else folder / "spa-eng"))
    if len(pairs) != PAIRS:
        raise UserError(f"{folder / ANKI} has {len(pairs):,} pairs, the file of 13 May 2018 has {PAIRS:,}")
    by_sentence: dict[str, list[tuple[str, str]]] = {}
    for source, target in pairs:
        by_sentence.setdefault(normalised(source), []).append((source.strip(), target.strip()))
    parts: dict[str, list[tuple[str, str]]] = {name: [] for name in SIZES}
    for key in drawn(by_sentence, SEED):
        part = next((name for name in ("validation", "test") if len(parts[name]) < HELD_OUT), "train")
        parts[part] += by_sentence[key]
    return {name: Pairs.of(rows) for name, rows in parts.items()}

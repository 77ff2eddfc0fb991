"""Pair tasks made from single texts with a class each: whether two belong together, half of them yes.

    same_class   two texts: are they of one class? No text is in two pairs
    same_text    the halves of a text, or of two texts of one class: is the second the end of the first?

The same pairs each time; what is drawn for a seed is a subset of them.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from projects.smyrf.config import Pairs

Rows = list[tuple[str, str, float]]


def paired(kind: Pairs, rows: Rows) -> Rows:
    """Pairs (text, second, 1 for together and 0 for apart) from texts (text, "", class)."""
    texts = [(text, label) for text, _, label in rows]
    order = np.random.default_rng(0).permutation(len(texts))
    shuffled = [texts[number] for number in order]
    return same_class(shuffled) if kind == "same_class" else same_text(shuffled)


def same_class(texts: Sequence[tuple[str, float]]) -> Rows:
    """Each text in turn with the next unused one of its class, or of another, in turns; those that find none are left out."""
    used = [False] * len(texts)
    pairs: Rows = []
    for number, (text, label) in enumerate(texts):
        if used[number]:
            continue
        together = len(pairs) % 2 == 0
        others = range(number + 1, len(texts))
        second = next((i for i in others if not used[i] and (texts[i][1] == label) == together), None)
        if second is not None:
            used[number] = used[second] = True
            pairs.append((text, texts[second][0], float(together)))
    return pairs


def same_text(texts: Sequence[tuple[str, float]]) -> Rows:
    """Within a class every second text keeps its own end, the others pass theirs on to the next of them; one alone keeps its own."""
    by_class: dict[float, list[int]] = defaultdict(list)
    for number, (_, label) in enumerate(texts):
        by_class[label].append(number)
    halves = [_halves(text) for text, _ in texts]
    end_of = list(range(len(texts)))
    for numbers in by_class.values():
        moved = numbers[1::2]
        if len(moved) > 1:
            for number, other in zip(moved, [*moved[1:], moved[0]], strict=True):
                end_of[number] = other
    return [(halves[i][0], halves[end][1], float(end == i)) for i, end in enumerate(end_of)]


def _halves(text: str) -> tuple[str, str]:
    words = text.split()
    return " ".join(words[: len(words) // 2]), " ".join(words[len(words) // 2 :])

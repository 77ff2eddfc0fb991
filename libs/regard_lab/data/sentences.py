"""Sentences, or pairs of them, each with a number: a rating, or the index of a class."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard_lab.common.errors import UserError
from regard_lab.data.texts import normalised

Rated = tuple[str, str, float]


@dataclass(frozen=True, eq=False)
class Sentences:
    """One split: `texts`, `seconds` (the other sentence of a pair, or "") and `scores` (n,) float64. Prepared as
    `<split>.jsonl`, one row per line."""

    texts: list[str]
    seconds: list[str]
    scores: NDArray[np.float64]

    @classmethod
    def of(cls, rows: Iterable[Rated]) -> "Sentences":
        """From (text, second, score), in their order."""
        texts, seconds, scores = zip(*rows, strict=True) if (rows := list(rows)) else ((), (), ())
        return cls(list(texts), list(seconds), np.array(scores, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self) -> Iterator[Rated]:
        """(text, second, score), in their order."""
        return zip(self.texts, self.seconds, self.scores.tolist(), strict=True)

    def keys(self) -> Iterator[str]:
        """One key per row; rows with the same key are duplicates."""
        return (f"{normalised(text)}\t{normalised(second)}" for text, second, _ in self.rows())

    def files(self, split: str) -> Mapping[str, bytes]:
        """The prepared files of this split and their content."""
        return {f"{split}.jsonl": "".join(map(line, self.rows())).encode()}

    @classmethod
    def read(cls, folder: Path, split: str) -> "Sentences":
        """Read a prepared or a user's `<split>.jsonl`; a malformed line raises a `UserError` with its number."""
        path = folder / f"{split}.jsonl"
        if not path.exists():
            raise UserError(f"{path} does not exist")
        with path.open("rb") as lines:
            return cls.of(parsed(path, number, content) for number, content in enumerate(lines, start=1))


def line(row: Rated) -> str:
    """One line of a prepared file; if a row has no second sentence, the line has no key for it."""
    text, second, score = row
    pair = {"second": second} if second else {}
    return json.dumps({"text": text, **pair, "score": score}, ensure_ascii=False) + "\n"


def parsed(path: Path, number: int, content: bytes) -> Rated:
    """One line {"text": str, "second": str, "score": number}; `second` is optional, other keys are ignored."""
    try:
        row = json.loads(content)
        text, second, score = row["text"], row.get("second", ""), row["score"]
    except (ValueError, KeyError, TypeError, AttributeError):
        text, second, score = None, None, None
    if not isinstance(text, str) or not isinstance(second, str) or type(score) not in (int, float):
        raise UserError(
            f'line {number} of {path} is not {{"text": "…", "score": 0.5}}: {content[:60].decode(errors="replace")!r}'
        )
    return text, second, float(score)

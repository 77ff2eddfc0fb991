"""Labelled texts: their prepared form, what makes two equal, and splits that need neither an order nor a generator."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard_lab.common.errors import UserError

WORD = re.compile(r"\w+")
LINE_BREAK = re.compile(r"<br\s*/?>")


@dataclass(frozen=True, eq=False)
class Texts:
    """One split: `texts` as they were written, whole, and `labels` (n,) int64. Prepared as `<split>.jsonl`,
    one {"text", "label"} per line."""

    texts: list[str]
    labels: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, int]]) -> "Texts":
        """From (text, label) pairs, in their order."""
        texts, labels = zip(*rows, strict=True) if (rows := list(rows)) else ((), ())
        return cls(list(texts), np.array(labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.texts)

    def rows(self) -> Iterator[tuple[str, int]]:
        """(text, label) pairs, in their order."""
        return zip(self.texts, self.labels.tolist(), strict=True)

    def keys(self) -> Iterator[str]:
        """One key per row; rows with the same key are duplicates."""
        return map(normalised, self.texts)

    def files(self, split: str) -> Mapping[str, bytes]:
        """The prepared files of this split and their content."""
        lines = [json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n" for text, label in self.rows()]
        return {f"{split}.jsonl": "".join(lines).encode()}

    @classmethod
    def stream(cls, folder: Path, split: str) -> Iterator[str]:
        """The texts of a prepared split, one at a time: no more than one is in memory."""
        path = folder / f"{split}.jsonl"
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield parsed(path, number, line)[0]

    @classmethod
    def read(cls, folder: Path, split: str) -> "Texts":
        """Read a prepared or a user's `<split>.jsonl`; a malformed line raises a `UserError` with its number."""
        path = folder / f"{split}.jsonl"
        if not path.exists():
            raise UserError(
                f"{path} does not exist; a folder of texts holds train.jsonl, validation.jsonl and test.jsonl"
            )
        with path.open("rb") as lines:
            return cls.of(parsed(path, number, line) for number, line in enumerate(lines, start=1))


def parsed(path: Path, number: int, line: bytes) -> tuple[str, int]:
    """One line {"text": str, "label": int}; other keys are ignored."""
    try:
        row = json.loads(line)
        text, label = row["text"], row["label"]
    except (ValueError, KeyError, TypeError):
        text, label = None, None
    if not isinstance(text, str) or type(label) is not int:
        raise UserError(
            f'line {number} of {path} is not {{"text": "…", "label": 0}}: {line[:60].decode(errors="replace")!r}'
        )
    return text, label


def normalised(text: str) -> str:
    """The words of a text without case, punctuation, line breaks or Unicode variants: what two copies of a text have in common."""
    return " ".join(WORD.findall(LINE_BREAK.sub(" ", unicodedata.normalize("NFKC", text)).casefold()))


def deduplicated(rows: Iterable[tuple[str, int]]) -> dict[str, tuple[str, int]]:
    """The first row of each group of duplicates, by its normalised text."""
    first: dict[str, tuple[str, int]] = {}
    for text, label in rows:
        first.setdefault(normalised(text), (text, label))
    return first


def drawn(keys: Iterable[str], seed: str) -> list[str]:
    """The keys in the order of SHA-256(seed, key): as good as random, and the same for any machine and input order."""
    return sorted(keys, key=lambda key: hashlib.sha256(f"{seed}\n{key}".encode()).digest())


def split_by_label(rows: Mapping[str, tuple[str, int]], seed: str, **sizes: int) -> dict[str, Texts]:
    """Split labelled texts into balanced splits, and the rest as `test`.

    Args:
        rows: key -> (text, label).
        seed: Fixes the order in which they are drawn.
        sizes: The size of each split; it has the same number of texts of every label.

    Raises:
        UserError: There are too few texts of a label, or the labels do not divide a size.
    """
    order = drawn(rows, seed)
    by_label = {
        label: [key for key in order if rows[key][1] == label]
        for label in sorted({label for _, label in rows.values()})
    }
    chosen: dict[str, set[str]] = {}
    for split, size in sizes.items():
        labels = len(by_label)
        per_label = size // max(labels, 1)
        if per_label * labels != size or any(len(keys) < per_label for keys in by_label.values()):
            has = {label: len(keys) for label, keys in by_label.items()}
            raise UserError(f"{split} needs {size} texts, the same number of each label, but those left are {has}")
        chosen[split] = {key for keys in by_label.values() for key in keys[:per_label]}
        by_label = {label: keys[per_label:] for label, keys in by_label.items()}
    chosen["test"] = {key for keys in by_label.values() for key in keys}
    return {split: Texts.of(rows[key] for key in order if key in members) for split, members in chosen.items()}

"""Pairs of a text and its translation: their prepared form."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.texts import normalised


@dataclass(frozen=True, eq=False)
class Pairs:
    """One split: `sources` and `targets`, text by text. Prepared as `<split>.jsonl`, one {"source", "target"} per line."""

    sources: list[str]
    targets: list[str]

    @classmethod
    def of(cls, rows: Iterable[tuple[str, str]]) -> "Pairs":
        """From (source, target), in their order."""
        rows = list(rows)
        return cls([source for source, _ in rows], [target for _, target in rows])

    def __len__(self) -> int:
        return len(self.sources)

    def keys(self) -> Iterator[str]:
        """One key per row, from its source alone; rows with the same key are duplicates."""
        return map(normalised, self.sources)

    def files(self, split: str) -> Mapping[str, bytes]:
        """The prepared files of this split and their content."""
        rows = zip(self.sources, self.targets, strict=True)
        lines = (json.dumps({"source": source, "target": target}, ensure_ascii=False) for source, target in rows)
        return {f"{split}.jsonl": "".join(f"{line}\n" for line in lines).encode()}

    @classmethod
    def read(cls, folder: Path, split: str) -> "Pairs":
        """Read a prepared or a user's `<split>.jsonl`; a malformed line raises a `UserError` with its number."""
        path = folder / f"{split}.jsonl"
        if not path.exists():
            raise UserError(
                f"{path} does not exist; a folder of pairs holds train.jsonl, validation.jsonl and test.jsonl"
            )
        with path.open("rb") as lines:
            return cls.of(parsed(path, number, line) for number, line in enumerate(lines, start=1))


def parsed(path: Path, number: int, line: bytes) -> tuple[str, str]:
    """One line {"source": str, "target": str}."""
    try:
        row = json.loads(line)
        source, target = row["source"], row["target"]
    except (ValueError, KeyError, TypeError):
        source, target = None, None
    if not isinstance(source, str) or not isinstance(target, str):
        raise UserError(
            f'line {number} of {path} is not {{"source": "…", "target": "…"}}: {line[:60].decode(errors="replace")!r}'
        )
    return source, target

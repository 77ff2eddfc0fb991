"""YAML that people write by hand, read strictly: every complaint names the file and the place, and nothing unknown is ignored."""

import functools
import math
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from regard_lab.common.errors import UserError, nearest
from regard_lab.common.formatting import Key

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the parser in C is ten times as fast


class _StrictLoader(_Loader):  # type: ignore[misc]
    """Refuses equal keys. PyYAML silently keeps the last of them, and a row of published numbers could be lost unnoticed."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for name, _ in node.value:
            key = self.construct_object(name, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.MarkedYAMLError(problem=f"{key!r} occurs twice", problem_mark=name.start_mark)
            seen.add(key)
        mapping: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return mapping


@dataclass(frozen=True)
class Node:
    """A value of a YAML file with its place; each method checks for one type and returns the plain value."""

    file: Path
    place: str
    value: Any

    def error(self, what: str) -> UserError:
        return UserError(f"{self.file}: {self.place or 'top level'}: {what}")

    def at(self, name: str | int, value: Any) -> "Node":
        """The node below this one."""
        step = f"[{name}]" if isinstance(name, int) else f".{name}" if self.place else name
        return Node(self.file, self.place + step, value)

    def entries(self) -> dict[str, "Node"]:
        """A mapping with free names."""
        if not isinstance(self.value, dict) or not all(isinstance(name, str) for name in self.value):
            raise self.error(f"expected a mapping with names, got {self.value!r}")
        return {name: self.at(name, value) for name, value in self.value.items()}

    def fields(self, required: Collection[str], optional: Collection[str] = ()) -> dict[str, "Node"]:
        """A mapping with these names and no others."""
        entries = self.entries()
        known = [*required, *optional]
        for name in entries:
            if name not in known:
                raise self.error(f"unknown key {name!r}; known are {', '.join(known)}.{nearest(name, known)}")
        for name in required:
            if name not in entries:
                raise self.error(f"key {name!r} is missing")
        return entries

    def items(self) -> list["Node"]:
        if not isinstance(self.value, list):
            raise self.error(f"expected a list, got {self.value!r}")
        return [self.at(i, value) for i, value in enumerate(self.value)]

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.error(f"expected words, got {self.value!r} (a number that is a name needs quotes)")
        return " ".join(self.value.split())

    def number(self) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float) or not math.isfinite(self.value):
            raise self.error(f"expected a finite number, got {self.value!r}")
        return self.value

    def whole(self) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self.error(f"expected a whole number, got {self.value!r}")
        return self.value

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.error(f"expected true or false, got {self.value!r}")
        return self.value

    def choice(self, *known: str) -> str:
        if self.value not in known:
            raise self.error(
                f"expected one of {', '.join(known)}, got {self.value!r}.{nearest(str(self.value), known)}"
            )
        return str(self.value)

    def key(self) -> Key:
        """The key of a row: names with plain values."""
        entries = self.entries()
        if not entries:
            raise self.error("a row's key cannot be empty")
        return {name: node.scalar() for name, node in entries.items()}

    def scalar(self) -> str | int | float | bool:
        """A plain value of a row's key."""
        if not isinstance(self.value, str | int | float | bool):
            raise self.error(f"a row's key may hold words, numbers, and true or false; got {self.value!r}")
        return self.value


def read_yaml(path: Path) -> Node:
    """Read a YAML file as a `Node`; a missing or malformed file is one clear `UserError`."""
    try:
        state = path.stat()
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    return Node(path, "", _parsed(path, state.st_mtime_ns, state.st_size))


@functools.lru_cache(maxsize=1024)
def _parsed(path: Path, changed: int, size: int) -> Any:
    """The content of a file, parsed once as long as it does not change, because tables share experiments."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise UserError(f"{path}: line {line}: {error.problem or 'not YAML'}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not YAML ({error})") from None


def read_value(key: str, text: str) -> Any:
    """A value as YAML reads it; `UserError` for what is none."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"{key}={text}: the value cannot be read; put words with : or brackets in quotes") from None

"""The arguments of the command `swap`, as key=value words."""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, get_args

from projects.smyrf.config import Scheme
from regard_lab.common.errors import UserError, nearest

SCHEMES = get_args(Scheme)


@dataclass(frozen=True)
class Request:
    """A model, inputs, and the SMYRF that takes the place of the model's attention; None where the model decides."""

    model: str
    data: Path
    rounds: int = 2
    cluster_size: int | None = None
    layers: tuple[int, ...] | None = None
    scheme: Scheme = "asymmetric"
    dedup: bool = False
    sweep: bool = False
    examples: int = 32
    tokens: int | None = None
    repeats: int = 5
    seed: int = 0
    csv: Path | None = None


def request_of(words: list[str]) -> Request:
    """The request that the words make; the first that cannot be read is a `UserError`."""
    values: dict[str, Any] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise UserError(f"arguments are key=value, got {word!r}.{nearest(key, READ)} {usage_hint()}")
        if key not in READ:
            raise UserError(f"there is no {key!r}.{nearest(key, READ)} The keys are: {', '.join(READ)}")
        if key in values:
            raise UserError(f"{key} is given twice")
        values[key] = READ[key](key, value)
    for field in fields(Request):
        if field.default is MISSING and field.name not in values:
            raise UserError(f"{field.name}= is missing; {usage_hint()}")
    if values.get("sweep") and "cluster_size" in values:
        raise UserError("sweep=true chooses the cluster sizes itself; leave cluster_size out")
    return Request(**values)


def usage_hint() -> str:
    """An example of a call."""
    return "an example: model=minilm data=texts rounds=2 cluster_size=32"


def whole(least: int) -> Callable[[str, str], int]:
    """A reader of whole numbers of at least that."""

    def read(key: str, value: str) -> int:
        if not value.lstrip("-").isdecimal() or int(value) < least:
            raise UserError(f"{key} is a whole number of at least {least}, got {value!r}")
        return int(value)

    return read


def flag(key: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise UserError(f"{key} is true or false, got {value!r}")
    return value == "true"


def scheme(key: str, value: str) -> str:
    if value not in SCHEMES:
        raise UserError(f"there is no scheme {value!r}.{nearest(value, SCHEMES)} The schemes are: {', '.join(SCHEMES)}")
    return value


def layers(key: str, value: str) -> tuple[int, ...]:
    """ "6-8,11" -> (6, 7, 8, 11)."""
    numbers: set[int] = set()
    for part in value.split(","):
        first, _, last = part.partition("-")
        ends = (first, last or first)
        if not all(end.isdecimal() for end in ends) or int(ends[0]) > int(ends[1]):
            raise UserError(f"layers are numbers and ranges from 0 on, such as 0,6-11; got {value!r}")
        numbers |= set(range(int(ends[0]), int(ends[1]) + 1))
    return tuple(sorted(numbers))


READ: dict[str, Callable[[str, str], Any]] = {
    "model": lambda key, value: value,
    "data": lambda key, value: Path(value),
    "rounds": whole(1),
    "cluster_size": whole(1),
    "layers": layers,
    "scheme": scheme,
    "dedup": flag,
    "sweep": flag,
    "examples": whole(1),
    "tokens": whole(2),
    "repeats": whole(1),
    "seed": whole(0),
    "csv": lambda key, value: Path(value),
}

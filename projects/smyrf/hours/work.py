"""Pieces of work, and how often they are done."""

from collections.abc import Iterable
from dataclasses import dataclass

from projects.smyrf.config import Config
from regard_lab import data


@dataclass(frozen=True)
class Work:
    """A piece of work that is done `times`, of `flops` each. `gpu`: where there is a GPU the code takes it for this, else it stays on the CPU."""

    what: str
    times: int
    flops: float
    gpu: bool = False


def examples(config: Config, name: str, split: str, most: int | None = None) -> int:
    """The rows of a split, by the data set's card."""
    size = data.card(name).source(config.data.source).sizes[split]
    return size if most is None else min(size, most)


def together(works: Iterable[Work]) -> list[Work]:
    """One work of each kind: as often as all of its kind, with their mean of operations."""
    kinds: dict[tuple[str, bool], list[Work]] = {}
    for work in works:
        kinds.setdefault((work.what, work.gpu), []).append(work)
    return [
        Work(what, times := sum(one.times for one in own), sum(one.times * one.flops for one in own) / times, gpu)
        for (what, gpu), own in kinds.items()
    ]

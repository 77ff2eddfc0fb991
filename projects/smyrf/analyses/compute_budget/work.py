"""Pieces of work: how often they are done, and the operations of one.

The operations of a call are torch's count; those of attention come from its formula.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from projects.smyrf.config import Attention, Config
from regard.registry import mechanism_class
from regard_lab import data

_known: dict[Any, Any] = {}


@dataclass(frozen=True)
class Work:
    """A piece of work that is done `times`, of `flops` each. `gpu`: the code uses a GPU for it if there is one; other work stays on the CPU."""

    what: str
    times: int
    flops: float
    gpu: bool = False


def examples(config: Config, name: str, split: str, most: int | None = None) -> int:
    """The examples of a split, by the data set's card, `most` at most."""
    size = data.card(name).source(config.data.source).sizes[split]
    return size if most is None else min(size, most)


def merged(works: Iterable[Work]) -> list[Work]:
    """One work of each kind: as often as all of its kind together, with their mean operations."""
    kinds: dict[tuple[str, bool], list[Work]] = {}
    for work in works:
        kinds.setdefault((work.what, work.gpu), []).append(work)
    return [
        Work(what, times := sum(work.times for work in own), sum(work.times * work.flops for work in own) / times, gpu)
        for (what, gpu), own in kinds.items()
    ]


def cached(key: Any, make: Callable[[], Any]) -> Any:
    """The result of `make`, computed once per key: configs are not hashable, so their `repr` stands for them."""
    if key not in _known:
        _known[key] = make()
    return _known[key]


def counted(run: Callable[[], object]) -> int:
    """The operations of a call, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def attention_flops(name: str, attention: Attention, sizes: dict[str, int], pattern: str = "noncausal_self") -> int:
    """One forward pass of softmax attention or SMYRF (`name`) on split heads, its projections left out; `sizes` are heads, n, m, d, e."""
    options: dict[str, Any] = {}
    if name == "smyrf":
        options = {key: getattr(attention, key) for key in ("rounds", "cluster_size", "scheme")} | {"pattern": pattern}
    return int(mechanism_class(name).mix_flops(**sizes, **options))

"""Operations of one piece of work: torch's count of a call, and attention by its formula."""

from collections.abc import Callable
from typing import Any

from torch.utils.flop_counter import FlopCounterMode

from projects.smyrf.config import Attention
from regard.registry import mechanism_class

_known: dict[Any, Any] = {}


def once(key: Any, make: Callable[[], Any]) -> Any:
    """What `make` gives, made once for a key: configs are no keys, their words are."""
    if key not in _known:
        _known[key] = make()
    return _known[key]


def counted(run: Callable[[], object]) -> int:
    """The operations of a call, as torch counts them."""
    with FlopCounterMode(display=False) as counter:
        run()
    return int(counter.get_total_flops())


def attention_flops(name: str, attention: Attention, sizes: dict[str, int], pattern: str = "noncausal_self") -> int:
    """One forward pass of softmax attention or SMYRF (`name`) on split heads, its maps left out; `sizes` are heads, n, m, d, e."""
    options: dict[str, Any] = {}
    if name == "smyrf":
        options = {key: getattr(attention, key) for key in ("rounds", "cluster_size", "scheme")} | {"pattern": pattern}
    return int(mechanism_class(name).mix_flops(**sizes, **options))

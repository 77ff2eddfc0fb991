"""What a mechanism costs, by formula: parameters, FLOPs, score entries, and its savings relative to softmax attention.

    cost.parameters("super", width=32, heads=4, length=32)                       -> 3168
    cost.saved(cost.parameters, "super", width=32, heads=4, length=32)           -> 0.25
    cost.score_memory("smyrf", n=128, rounds=2, cluster_size=32)                 -> 0.5

A mechanism is a registered name or a class; `options` are the layer's own. The formulas are in the classes, beside
what they count.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from regard.common.checks import check_count, check_flag
from regard.registry import check_options, mechanism_class


def parameters(
    mechanism: str | type[Any], *, width: int, heads: int, length: int, bias: bool = True, **options: Any
) -> int:
    """Parameters of one attention layer.

    Args:
        mechanism: A registered name, or a class.
        width: Model width w.
        heads: Number of heads.
        length: Tokens of the source.
        bias: Do the projections have biases? Default: True.
        options: The layer's own.

    Returns:
        The number, by the class's formula `parameter_count`; certification holds it to the real count.

    Raises:
        UnknownMechanism: No mechanism has this name.
        TypeError: An option that its layers do not take, a size that is no integer.
        ValueError: A size below 1, heads that do not divide the width.
    """
    check_sizes(width=width, heads=heads, length=length)
    check_flag(bias, "bias")
    cls = class_of(mechanism, options)
    return int(cls.parameter_count(width=width, heads=heads, length=length, bias=bias, **options))


def flops(mechanism: str | type[Any], *, width: int, heads: int, n: int, m: int | None = None, **options: Any) -> int:
    """FLOPs of one layer for one batch row: matrix products only, 2 per multiply-add, projections included.

    Causal masks save nothing: the papers count whole matrices.

    Args:
        mechanism: A registered name, or a class.
        width: Model width w.
        heads: Number of heads.
        n: Queries.
        m: Keys. Default: None, n.
        options: The layer's own.

    Returns:
        The number, by the class's formula `mix_flops`.

    Raises:
        UnknownMechanism: No mechanism has this name.
        TypeError: An option that its layers do not take, a size that is no integer.
        ValueError: A size below 1, heads that do not divide the width.
    """
    m = n if m is None else m
    check_sizes(width=width, heads=heads, n=n, m=m)
    cls = class_of(mechanism, options)
    rows = {"query": n, "key": m, "value": m, "output": n}
    maps = 2 * width * width * sum(rows[name] for name in cls.maps)
    d = width // heads
    return int(maps + cls.mix_flops(heads=heads, n=n, m=m, d=d, e=d, **options))


def score_entries(mechanism: str | type[Any], *, heads: int, n: int, m: int | None = None, **options: Any) -> int:
    """Entries of the score-like matrices of one layer, for one batch row.

    Args:
        mechanism: A registered name, or a class.
        heads: Number of heads.
        n: Queries.
        m: Keys. Default: None, n.
        options: The layer's own.

    Returns:
        The number, by the class's formula `score_entries`.

    Raises:
        UnknownMechanism: No mechanism has this name.
        TypeError: An option that its layers do not take, a size that is no integer.
        ValueError: A size below 1, heads that do not divide the width.
    """
    m = n if m is None else m
    check_sizes(heads=heads, n=n, m=m)
    return int(class_of(mechanism, options).score_entries(heads=heads, n=n, m=m, **options))


def score_memory(mechanism: str | type[Any], *, n: int, m: int | None = None, **options: Any) -> float:
    """Score entries relative to softmax attention's n m.

    Not the memory that a program takes: see the benchmarks for that.

    Args:
        mechanism: A registered name, or a class.
        n: Queries.
        m: Keys. Default: None, n.
        options: The layer's own.

    Returns:
        The ratio; 1 is as many.

    Raises:
        UnknownMechanism: No mechanism has this name.
        TypeError: An option that its layers do not take, a size that is no integer.
        ValueError: A size below 1, heads that do not divide the width.
    """
    return score_entries(mechanism, heads=1, n=n, m=m, **options) / score_entries("softmax", heads=1, n=n, m=m)


def saved(cost: Callable[..., int], mechanism: str | type[Any], **sizes: Any) -> float:
    """The share of softmax attention's cost that a mechanism saves.

    Args:
        cost: A function of this module.
        mechanism: A registered name, or a class.
        sizes: The arguments that `cost` takes, and the mechanism's options.

    Returns:
        1 − cost of the mechanism / cost of softmax attention; negative where it costs more.

    Raises:
        UnknownMechanism: No mechanism has this name.
        TypeError: An option that its layers do not take, a size that is no integer.
        ValueError: A size below 1, heads that do not divide the width.
    """
    named = inspect.signature(cost).parameters  # sizes; anything else is an option of the mechanism alone
    return 1 - cost(mechanism, **sizes) / cost("softmax", **{name: sizes[name] for name in sizes if name in named})


def class_of(mechanism: str | type[Any], options: Iterable[str] = ()) -> Any:
    """The class of a registered name; a class is returned as it is.

    Raises TypeError for an option that its layers do not take.
    """
    cls = mechanism if isinstance(mechanism, type) else mechanism_class(mechanism)
    check_options(cls, set(options) - {"length"})  # what a layer is built for: known to every formula
    return cls


def check_sizes(**sizes: int) -> None:
    """Every size is an integer of at least 1, and heads divide the width."""
    for name, size in sizes.items():
        check_count(size, 1, name)
    if sizes.get("width", 0) % sizes.get("heads", 1):
        raise ValueError(f"heads must divide the width, got width = {sizes['width']} and heads = {sizes['heads']}")

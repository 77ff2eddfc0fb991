"""What a mechanism must prove, pattern by pattern.

    certify("softmax")                      -> [Outcome("noncausal_self", "shape and dtype", True, "…"), …]
    certify(MyAttention, ["causal_self"])   a class of your own: decorated with `@mechanism`, or with `patterns` on it

The properties are in `properties.py`, one plain function each, listed in `PROPERTIES`. Each is shown able to fail by
a broken mechanism in `tests/regard/certification/test_properties.py`.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from regard.certification.properties import PROPERTIES
from regard.certification.subject import LONGEST, NotClaimed, Subject, Violation
from regard.common.patterns import ALL_PATTERNS, Pattern
from regard.registry import UnsupportedPattern, mechanism_class

__all__ = ["PROPERTIES", "Outcome", "certify"]


@dataclass(frozen=True)
class Outcome:
    """One property of one mechanism in one pattern.

    Args:
        pattern: The pattern.
        property: The property's name, as in `PROPERTIES`.
        passed: Does it hold?
        detail: The numbers, or the reason.
        claimed: False where the property does not apply or the mechanism does not claim it; such an outcome counts as
            passed. Default: True.
    """

    pattern: Pattern
    property: str
    passed: bool
    detail: str
    claimed: bool = True


def certify(
    target: str | type[Any],
    patterns: Iterable[Pattern] | None = None,
    *,
    options: Mapping[str, Any] | None = None,
    properties: Iterable[str] | None = None,
) -> list[Outcome]:
    """Check every property of a mechanism in every pattern. An exception inside a property is its failure.

    Args:
        target: A registered name, or a class.
        patterns: The patterns to check. Default: None, all that the class declares.
        options: Options in place of those of the class's `example`. Default: None.
        properties: Names out of `PROPERTIES`. Default: None, all.

    Returns:
        One outcome per pattern and property, in this order.

    Raises:
        UnknownMechanism: No mechanism has this name.
        UnsupportedPattern: The class does not have one of the patterns.
        ValueError: Unknown properties or impossible options; raised before any work.
        TypeError: A class that is not a mechanism, or options of the wrong type; raised before any work.
    """
    cls = mechanism_class(target) if isinstance(target, str) else target
    name = name_of(cls)
    checks = dict(PROPERTIES)
    chosen = list(checks) if properties is None else list(properties)
    if unknown := [each for each in chosen if each not in checks]:
        raise ValueError(f"there is no property {unknown[0]!r}; there are {', '.join(checks)}")
    subjects = [Subject(cls, pattern, chosen_options(cls, options)) for pattern in chosen_patterns(cls, name, patterns)]
    if options:
        for subject in subjects:
            subject.layer()  # impossible options are an error of the call, not a failure of the mechanism
    threads = torch.get_num_threads()
    # The tensors are tiny: on a busy machine, waiting for a second thread takes forty times the work.
    torch.set_num_threads(1)
    try:
        return [outcome(subject, each, checks[each]) for subject in subjects for each in chosen]
    finally:
        torch.set_num_threads(threads)


def name_of(cls: Any) -> str:
    """The name under which a class is registered, or its own. TypeError for a class that is not a mechanism."""
    if not isinstance(cls, type) or not hasattr(cls, "patterns"):
        called = getattr(cls, "__name__", repr(cls))
        raise TypeError(
            f"{called} is no mechanism: it declares no patterns; decorate the class with "
            "@mechanism(name, patterns=…, paper=…) or give it `patterns`"
        )
    return str(getattr(cls, "name", cls.__name__))


def chosen_patterns(cls: Any, name: str, patterns: Iterable[str] | None) -> list[Pattern]:
    """The requested patterns in their usual order; all that the class declares if none are named."""
    declared = [pattern for pattern in ALL_PATTERNS if pattern in cls.patterns]
    if not declared:
        raise UnsupportedPattern(f"{name!r} declares no pattern; there are {', '.join(ALL_PATTERNS)}")
    if patterns is None:
        return declared
    wanted = list(patterns)
    for pattern in wanted:
        if pattern not in ALL_PATTERNS:
            near = difflib.get_close_matches(pattern, ALL_PATTERNS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise UnsupportedPattern(f"there is no pattern {pattern!r}.{hint} There are: {', '.join(ALL_PATTERNS)}")
        if pattern not in declared:
            raise UnsupportedPattern(f"{name!r} does not have the pattern {pattern!r}; it has {', '.join(declared)}")
    return [pattern for pattern in declared if pattern in wanted]


def chosen_options(cls: Any, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """The class's `example`, overridden by `options`; a mechanism of fixed `length` gets the longest that is run."""
    example = dict(getattr(cls, "example", {}))
    if "length" in example:
        example["length"] = LONGEST
    merged = {**example, **(options or {})}
    if taken := {"width", "heads", "pattern"} & set(merged):
        raise ValueError(f"certification sets {min(taken)} itself; it is no option")
    if isinstance(merged.get("length"), int) and merged["length"] < LONGEST:
        raise ValueError(f"certification runs at lengths up to {LONGEST}, got length = {merged['length']}")
    return merged


def outcome(subject: Subject, name: str, check: Any) -> Outcome:
    """Run one property. Whatever it raises is its outcome: one broken mechanism never ends the run."""
    try:
        return Outcome(subject.pattern, name, True, check(subject))
    except NotClaimed as reason:
        return Outcome(subject.pattern, name, True, f"not claimed: {reason}", claimed=False)
    except Violation as violation:
        return Outcome(subject.pattern, name, False, str(violation))
    except Exception as error:
        message = " ".join(str(error).split())
        return Outcome(subject.pattern, name, False, f"{type(error).__name__}: {message[:300]}")

"""What a claim's check reads from a result: rows, their values by seed, and the words to describe them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from regard_lab.common.errors import UserError
from regard_lab.common.formatting import Key, decimals, label, number
from regard_lab.evidence.paper import Claim
from regard_lab.evidence.resampling import differences
from regard_lab.evidence.statistics import ANYTHING, Interval, Range
from regard_lab.evidence.verdict import Word
from regard_lab.experiment.items import Outcomes
from regard_lab.experiment.results import Result, Row

SEEDS = 3  # fewer are mechanics, not evidence
MOST_DECIMALS = 9  # an interval that needs more is due to seeds that differ only in their last bits, or to tiny numbers


class Short(Exception):
    """The evidence is not sufficient; holds the verdict that follows, and the reason."""

    def __init__(self, verdict: Word, sentence: str) -> None:
        super().__init__(sentence)
        self.verdict: Word = verdict


def row_of(result: Result, key: Key) -> Row:
    """A row that has finished; any other is `Short`."""
    row = result.row(**key)
    if row is None:
        raise Short("not run", f"The result of table {result.table} has no row {label(key)}.")
    if row.status == "not run" and not row.seeds:
        raise Short("not run", f"The row {label(key)} was not run: {row.reason or 'no reason is given'}.")
    if row.status != "ok":
        done = f"{len(row.seeds)} seed{'s' * (len(row.seeds) != 1)} finished"
        raise Short("undecided", f"The row {label(key)} is incomplete ({row.status}, {done}): {row.reason}.")
    return row


def by_seed(result: Result, row: Row, metric: str) -> dict[int, float]:
    """The values of one metric of one row, by seed."""
    if metric not in row.metrics:
        raise Short("not run", f"The row {label(row.key)} has no {metric.replace('_', ' ')}.")
    values = row.metrics[metric].values
    if len(values) != len(row.seeds) or len(set(row.seeds)) != len(row.seeds):
        raise UserError(
            f"results of {result.paper}/{result.table} at scale {result.scale}, row {label(row.key)}: "
            f"{len(values)} values of {metric} for the seeds {row.seeds}; delete the result and run the table again"
        )
    return dict(zip(row.seeds, values, strict=True))


def samples(
    claim: Claim, result: Result, keys: Sequence[Key], paired: bool, least: int = SEEDS, metric: str = ""
) -> list[list[float]]:
    """The metric of each row; paired samples hold the seeds that all rows share, in one order. At least `least` values each."""
    rows = [by_seed(result, row_of(result, key), metric or claim.metric) for key in keys]
    if paired:
        shared = sorted(set.intersection(*(set(values) for values in rows)))
        drawn = [[values[seed] for seed in shared] for values in rows]
    else:
        drawn = [[values[seed] for seed in sorted(values)] for values in rows]
    fewest = min(len(sample) for sample in drawn)
    if fewest < least:
        what = "shared seed" if paired and len(keys) > 1 else "seed"
        raise Short("undecided", f"Too few seeds: {fewest} {what}{'s' * (fewest != 1)}, at least {least} are needed.")
    return drawn


def outcomes(claim: Claim, result: Result, keys: Sequence[Key]) -> list[Outcomes] | None:
    """Each test item's outcome, by shared seed: of one row, or the first minus the second; `None` if not kept."""
    if not result.outcomes:
        return None
    rows = [row_of(result, key) for key in keys]
    seeds = sorted(set.intersection(*(set(row.seeds) for row in rows)))
    by_seed = []
    for row in rows:
        cells = dict(zip(row.seeds, row.cells, strict=True))
        values = dict(zip(row.seeds, row.metrics[claim.metric].values, strict=True))
        kept = [result.outcomes.get(cells[seed], {}).get(claim.metric) for seed in seeds]
        if not all(kept):
            return None
        by_seed.append([_in_unit(one, values[seed]) for one, seed in zip(kept, seeds, strict=True) if one])
    return by_seed[0] if len(by_seed) == 1 else differences(*by_seed)


def _in_unit(one: Outcomes, metric: float) -> Outcomes:
    """Outcomes of 0 and 1 whose metric is their share in per cent, in per cent."""
    mean = float(one.values.mean())
    return replace(one, values=100 * one.values) if abs(100 * mean - metric) < abs(mean - metric) else one


def limits_of(claim: Claim) -> Range:
    """The range to which the claim's metric is limited."""
    return Range(*claim.column.range) if claim.column and claim.column.range else ANYTHING


def name_of(claim: Claim) -> str:
    """The metric by its label."""
    words = claim.column.label if claim.column else claim.metric.replace("_", " ")
    return f"{words}," if "," in words else words


def subject(claim: Claim) -> str:
    """ "Test accuracy of super", to begin a sentence with."""
    return f"{capital(name_of(claim))} of {label(claim.row)}"


def unit_of(claim: Claim, result: Result, key: Key) -> str:
    return row_of(result, key).metrics[claim.metric].unit


def capital(sentence: str) -> str:
    """With a capital letter, unless it begins with a symbol such as τ."""
    return sentence[:1].upper() + sentence[1:] if sentence[:1].isascii() else sentence


def with_unit(words: str, unit: str) -> str:
    return f"{words} {unit}" if unit else words


def amount(value: float, unit: str = "") -> str:
    """A limit or a margin as its author wrote it: no zeros after the last figure."""
    words = number(value)
    if "." in words and "e" not in words:
        words = words.rstrip("0").rstrip(".")
    return with_unit(words, "point" if unit == "points" and abs(value) == 1 else unit)


def digits_of(interval: Interval) -> int | None:
    digits = decimals((interval.high - interval.low) / 2)
    return digits if digits is None or digits <= MOST_DECIMALS else None


def span(interval: Interval, unit: str, of: str = "") -> str:
    """ "95 % interval [4.9, 6.7] points": the ends with two figures of its width."""
    percent = number(100 * interval.confidence, 0 if interval.confidence < 0.98 else 1)
    ends = ", ".join(number(end, digits_of(interval)) for end in (interval.low, interval.high))
    return with_unit(f"{percent} % interval {of}[{ends}]", unit)


def limits(claim: Claim, unit: str) -> str:
    ends = [("at least", claim.at_least), ("at most", claim.at_most)]
    return "claimed " + " and ".join(f"{word} {amount(end, unit)}" for word, end in ends if math.isfinite(end))


def p_words(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def spread(interval: Interval, unit: str, p: str, of: str = "") -> tuple[str, str]:
    """The interval and the p, in words; for values that are all equal, a statement that they are."""
    if interval.error == 0:
        return "the same each time", "no interval"
    return span(interval, unit, of), p


def how_many(claim: Claim, n: int, paired: bool = False) -> str:
    """ "5 paired seeds"; what is timed is repeated, and draws nothing but the machine's state."""
    return f"{n} {'paired ' if paired else ''}{'repeats' if claim.kind == 'timing' else 'seeds'}"


def statistic(interval: Interval, **more: Any) -> dict[str, Any]:
    """An interval as plain values."""
    ends = {"low": interval.low, "high": interval.high, "confidence": interval.confidence, "n": interval.n}
    return {"estimate": interval.estimate, **ends, **more}

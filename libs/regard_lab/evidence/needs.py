"""What an undecided claim needs, and what its interval leaves out: seeds, test items, hours, from the result's own records."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from regard_lab.common.formatting import Key, number
from regard_lab.evidence import power
from regard_lab.evidence.paper import Claim
from regard_lab.evidence.samples import how_many, outcomes, row_of
from regard_lab.evidence.statistics import LEVEL, Decision, Interval
from regard_lab.evidence.verdict import Need
from regard_lab.experiment.results import Result, Row

NORMAL_95, NORMAL_80 = 1.96, 0.84  # quantiles of the two-sided level and of the power
FEW_ITEMS = 2000  # from so many on, an accuracy's own error is about one point or less and the set itself is what the paper speaks of


def shared_items(claim: Claim, result: Result, key: Key) -> int | None:
    """How many test items every seed is scored on, if the table says so; `None` for a whole split or if unknown."""
    if claim.items is None or claim.metric in claim.items.without or claim.kind == "timing":
        return None
    record = next((result.records[cell] for cell in row_of(result, key).cells if cell in result.records), {})
    value: Any = record.get("identity", {}).get("config", {})
    for part in claim.items.config.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value * claim.items.shares.get(claim.metric, 1) if isinstance(value, int) else None


def few_items(claim: Claim, result: Result, key: Key) -> int | None:
    """How many items all seeds share, if the metric is a share of them and they are so few that their own error counts; else `None`."""
    if claim.items is None or claim.metric not in claim.items.shares:
        return None
    items = shared_items(claim, result, key)
    return items if items is not None and 2 <= items < FEW_ITEMS else None


def hours_per_seed(result: Result, keys: Sequence[Key]) -> float | None:
    """The hours that one more seed of all these rows would take, by their records; `None` if one has none."""
    hours = [_mean_hours(result, row_of(result, key)) for key in keys]
    known = [one for one in hours if one is not None]
    return sum(known) if len(known) == len(hours) else None


def _mean_hours(result: Result, row: Row) -> float | None:
    times = [result.records[cell].get("wall_time_s") for cell in row.cells if cell in result.records]
    known = [float(time) for time in times if time is not None]
    return sum(known) / len(known) / 3600 if known else None


def need_of(claim: Claim, result: Result, keys: Sequence[Key], decision: Decision) -> Need | None:
    """What would have decided an undecided t test; `None` where there is no spread.

    Args:
        claim: The claim.
        result: Its result, for the cost of a seed.
        keys: The rows that would have to be run for another seed.
        decision: What was tested, undecided.
    """
    shown = decision.interval
    if shown.error == 0 or shown.n < 2:
        return None
    sd, seen = shown.error * shown.n**0.5, shown.range.free(shown.estimate)
    ends = [shown.range.free(end) for end in _ends(claim) if math.isfinite(end)]
    room = min(abs(seen - end) for end in ends)
    within = claim.check == "equivalence" and abs(shown.estimate) < claim.margin
    level = 2 * LEVEL if claim.check == "equivalence" else LEVEL  # beyond a margin is one-sided

    def at(n: int) -> float:
        if within:
            return power.power_of_equivalence(claim.margin, 0.0, sd, n)
        return power.power_of_superiority(room, sd, n, level)

    truth = 0.0 if within else shown.estimate
    now = at(shown.n)
    true = "if there is no difference" if within else "if the truth is what was seen"
    items = _items_needed(shown, claim.margin - abs(shown.estimate) if within else room)
    if shown.items and (items is None or items > shown.items):
        what = f"{items:,} items" if items else "no number of items alone"
        bound = items is not None and outcomes(claim, result, keys) is None
        fewer = " by the upper bound of their error, fewer if outcomes are kept per item" if bound else ""
        sentence = (
            f"Undecided: with {how_many(claim, shown.n)} on the same {shown.items:,} items the power is {100 * now:.0f} % {true}; "
            f"{what} would have 80 %{fewer}."
        )
        return Need(now, truth, None, items, None, sentence)
    seeds = power.least(at, shown.n + 1)
    per_seed = hours_per_seed(result, keys)
    hours = None if seeds is None or per_seed is None else (seeds - shown.n) * per_seed
    enough = f"{number(seeds)} would have 80 %" if seeds else f"not even {power.MOST:,} would have 80 %"
    cost = f", about {_hours(hours)} more" if hours is not None else ""
    sentence = f"Undecided: with {how_many(claim, shown.n)} the power is {100 * now:.0f} % {true}; {enough}{cost}."
    return Need(now, truth, seeds, None, hours, sentence)


def _items_needed(shown: Interval, room: float) -> int | None:
    """How many shared items would give a power of about 80 %, by the normal approximation; `None` if the seeds' own error is too large for any."""
    if not shown.items or room <= 0:
        return None
    wanted = (room / (NORMAL_95 + NORMAL_80)) ** 2
    of_seeds = max(0.0, shown.error**2 - shown.item_square)
    if wanted <= of_seeds:
        return None
    exact = shown.items * shown.item_square / (wanted - of_seeds)
    size = int(10 ** max(0, math.floor(math.log10(exact)) - 1))  # two figures: the spread is not known more precisely
    return size * math.ceil(exact / size)


def _ends(claim: Claim) -> tuple[float, ...]:
    """The values that separate what a claim allows from what it does not."""
    match claim.check:
        case "equivalence":
            return -claim.margin, claim.margin
        case "better":
            return (claim.least if claim.direction == "higher" else -claim.least,)
        case "trend":
            return (0.0,)
    return claim.at_least, claim.at_most


def _hours(hours: float) -> str:
    return f"{number(hours, 1 if hours < 10 else 0)} h" if hours >= 0.1 else f"{max(1, round(60 * hours))} min"

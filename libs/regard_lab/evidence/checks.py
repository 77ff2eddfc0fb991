"""The checks behind claims: each takes its evidence from a table's result and returns a verdict, a statistic and a sentence.

There is one rule: the interval that is shown decides. Superiority, bounds, slopes and exponents are decided by a
two-sided 95 % interval, an equivalence by two one-sided tests at 5 %, i.e. by the 90 % interval. A claim without
randomness (kinds `arithmetic` and `deterministic`) has no interval: it holds if each of its cases does. A claim about
every item (a limit at the end of the metric's range) is refuted by one exception.
"""

import math
from collections.abc import Callable, Sequence

from regard_lab.common.formatting import Key, label, number, signed, step
from regard_lab.evidence import resampling, statistics
from regard_lab.evidence.expression import evaluate
from regard_lab.evidence.needs import FEW_ITEMS, few_items, need_of, shared_items
from regard_lab.evidence.paper import EXACT, Claim
from regard_lab.evidence.samples import (
    SEEDS,
    Short,
    amount,
    by_seed,
    digits_of,
    how_many,
    limits,
    limits_of,
    name_of,
    outcomes,
    p_words,
    row_of,
    samples,
    span,
    spread,
    statistic,
    subject,
    unit_of,
    with_unit,
)
from regard_lab.evidence.statistics import LEVEL, Decision, Interval, Range
from regard_lab.evidence.verdict import Test, Verdict, Word
from regard_lab.experiment.results import Result

__all__ = ["CHECKS", "Short"]
ROUNDING = 1e-9  # relative; two ways of computing one exact count


def word_of(decision: Decision) -> Word:
    return "holds" if decision.inside else "fails" if decision.outside else "undecided"


def _against(claim: Claim) -> Key:
    if claim.against is None:
        raise AssertionError(f"claim {claim.id} was read without its `against`")
    return claim.against


def _verdict(
    claim: Claim, result: Result, keys: Sequence[Key], decision: Decision, test: str, sentence: str, **more: float
) -> Verdict:
    """The verdict of a test; an undecided one says what would decide it."""
    word = word_of(decision)
    need = need_of(claim, result, keys, decision) if word == "undecided" else None
    if need:
        sentence = f"{sentence} {need.sentence}"
    shown = decision.interval
    tested = None if shown.error == 0 else Test(test, decision.p, LEVEL)
    return Verdict(word, sentence, statistic(shown, p=decision.p, **more), test=tested, need=need)


def _compare(a: Sequence[float], b: Sequence[float], paired: bool) -> Interval:
    return (statistics.paired_difference if paired else statistics.unpaired_difference)(a, b)


def _with_items(claim: Claim, result: Result, keys: Sequence[Key], interval: Interval) -> tuple[Interval, str]:
    """The interval with the test items' error, and words for it: from outcomes, or from a bound if none were kept."""
    kept = None if not claim.paired else outcomes(claim, result, keys)
    if kept is not None and len(kept) >= SEEDS:
        both = resampling.two_level(kept)
        return both, f" × {both.items:,} items" if both.items else ", each with test items of its own"
    items, shared = few_items(claim, result, keys[0]), shared_items(claim, result, keys[0])
    if items is None:
        few = shared is not None and shared < FEW_ITEMS
        return interval, f" on the same {shared:,} items, whose own spread is not kept" if few else ""
    within = limits_of(claim)
    means = [row_of(result, key).metrics[claim.metric].mean for key in keys]
    square = math.fsum(statistics.item_square(mean, within, items) for mean in means)
    return statistics.with_items(
        interval, square, items
    ), f" on the same {items:,} items, whose own error is added at its upper bound"


def _equivalence(claim: Claim, result: Result) -> Verdict:
    against = _against(claim)
    keys = [claim.row, against]
    a, b = samples(claim, result, keys, claim.paired)
    difference, of_items = _with_items(claim, result, keys, _compare(a, b, claim.paired))
    decision = statistics.equivalence(difference, claim.margin)
    shown, unit = decision.interval, step(unit_of(claim, result, claim.row))
    where = "within" if decision.inside else "outside" if decision.outside else "not within"
    test = (
        f"beyond the margin {p_words(decision.p)}"
        if decision.outside
        else f"two one-sided tests {p_words(decision.p_inside)}"
    )
    between, p = spread(shown, unit, test)
    sentence = (
        f"{subject(claim)} minus that of {label(against)}: "
        f"{with_unit(signed(shown.estimate, digits_of(shown)), unit)}, "
        f"{between}, {where} ± {amount(claim.margin, unit)}; {p}, {how_many(claim, shown.n, claim.paired)}{of_items}."
    )
    return _verdict(claim, result, keys, decision, "two one-sided tests", sentence, margin=claim.margin)


def _better(claim: Claim, result: Result) -> Verdict:
    against, rising = _against(claim), claim.direction == "higher"
    keys = [claim.row, against]
    if claim.kind in EXACT:
        return _exactly_better(claim, result)
    a, b = samples(claim, result, keys, claim.paired)
    of_items = ""
    if claim.relative:
        if 0.0 in b:
            raise Short("undecided", f"A relative gain over {label(against)} does not exist: one of its values is 0.")
        difference, unit = statistics.relative_change(a, b), "%"
    else:
        difference, unit = _compare(a, b, claim.paired), step(unit_of(claim, result, claim.row))
        difference, of_items = _with_items(claim, result, keys, difference)
    low, high = (claim.least, math.inf) if rising else (-math.inf, -claim.least)
    decision = statistics.superiority(difference, low, high, strict=claim.least == 0)  # better is more than equal
    shown = decision.interval
    asked = f"claimed to be {_least_words(claim, unit)}"
    between, p = spread(shown, unit, p_words(decision.p), "of the difference ")
    sentence = (
        f"{subject(claim)} is {_apart(shown, unit)} that of {label(against)}, {between}, "
        f"{asked}; {p}, {how_many(claim, shown.n, claim.paired)}{of_items}."
    )
    return _verdict(claim, result, keys, decision, "two-sided interval", sentence, least=claim.least)


def _least_words(claim: Claim, unit: str) -> str:
    """What a claim of `better` asks for: "higher", "at least 2 points higher", or "at most 2 points lower" where `least` is negative."""
    if claim.least < 0:
        worse = "lower" if claim.direction == "higher" else "higher"
        return f"at most {amount(-claim.least, unit)} {worse}"
    return f"at least {amount(claim.least, unit)} {claim.direction}" if claim.least else claim.direction


def _apart(difference: Interval, unit: str) -> str:
    """ "0.8 points higher than", "equal to"."""
    words = number(abs(difference.estimate), digits_of(difference))
    if not words.strip("0.,"):
        return "equal to"
    return f"{with_unit(words, unit)} {'higher' if difference.estimate > 0 else 'lower'} than"


def _exactly_better(claim: Claim, result: Result) -> Verdict:
    """A comparison without randomness: it holds if it does in every case."""
    against = _against(claim)
    a, b = samples(claim, result, [claim.row, against], claim.paired, least=1)
    sign, unit = (1.0 if claim.direction == "higher" else -1.0), step(unit_of(claim, result, claim.row))
    gains = [sign * (100 * (x - y) / abs(y) if claim.relative else x - y) for x, y in zip(a, b, strict=True)]
    holding = sum(gain >= claim.least if claim.least else gain > 0 for gain in gains)
    mean = math.fsum(gains) / len(gains)
    cases = len(set(gains))
    sentence = (
        f"{subject(claim)} is {with_unit(number(abs(mean)), '%' if claim.relative else unit)} "
        f"{claim.direction if mean >= 0 else ('lower' if sign > 0 else 'higher')} than that of {label(against)}{_cases(holding, gains)}."
    )
    return Verdict(
        "holds" if holding == len(gains) else "fails",
        sentence,
        {"estimate": sign * mean, "n": cases, "least": claim.least},
    )


def _cases(holding: int, values: Sequence[float]) -> str:
    """What is said about cases without randomness: nothing if there is one, else in how many of them it is so."""
    if len(set(values)) == 1:
        return "; computed, not sampled"
    if holding == len(values):
        return f"; so in each of {len(values)} cases"
    return f"; so in {holding or 'none'} of {len(values)} cases"


def _formula(claim: Claim, result: Result) -> Verdict:
    row = row_of(result, claim.row)
    measured = by_seed(result, row, claim.metric)
    what = subject(claim)
    if claim.against is not None:
        below = by_seed(result, row_of(result, claim.against), claim.metric)
        shared = sorted(measured.keys() & below.keys())
        if not shared or any(below[seed] == 0 for seed in shared):
            raise Short(
                "undecided", f"{what} / {label(claim.against)} does not exist: no shared seed, or a value of 0."
            )
        measured = {seed: measured[seed] / below[seed] for seed in shared}
        what = f"{what} / {label(claim.against)}"
    numbers = {name: value for name, value in claim.row.items() if isinstance(value, int | float)}
    means = {name: metric.mean for name, metric in row.metrics.items() if name != claim.metric}
    expected = evaluate(claim.equals, {**means, **numbers, **claim.constants})
    room = abs(expected) * max(claim.tolerance, ROUNDING)
    values = list(measured.values())
    holding = sum(abs(value - expected) <= room for value in values)
    mean = math.fsum(values) / len(values)
    allowed = f", allowed to differ by {amount(100 * claim.tolerance)} %" if claim.tolerance else ""
    sentence = f"{what} is {number(mean)}; {claim.equals} = {number(expected)}{allowed}{_cases(holding, values)}."
    statistic = {"estimate": mean, "expected": expected, "tolerance": claim.tolerance, "n": len(set(values))}
    return Verdict("holds" if holding == len(values) else "fails", sentence, statistic)


def _along(claim: Claim, result: Result) -> list[Key]:
    """The keys that contain `row`, in the order of the number `over`."""
    keys = [row.key for row in result.rows if claim.row.items() <= row.key.items() and claim.over in row.key]
    return sorted(keys, key=lambda key: float(key[claim.over]))


def _trend(claim: Claim, result: Result) -> Verdict:
    keys = list(claim.rows) or _along(claim, result)
    if len(keys) < 2:
        raise Short("not run", f"The result of table {result.table} has fewer than two of the rows.")
    in_key = all(claim.over in key for key in keys)
    x = [float(key[claim.over]) if in_key else row_of(result, key).metrics[claim.over].mean for key in keys]
    groups = samples(claim, result, keys, claim.paired)
    if claim.log and min(min(group) for group in groups) <= 0:
        raise Short("undecided", f"A trend of a logarithm needs positive values of {claim.metric.replace('_', ' ')}.")
    trend = statistics.trend(x, [[math.log(v) for v in g] if claim.log else g for g in groups], claim.paired)
    rising = claim.direction == "higher"
    decision = statistics.superiority(trend.slope, *((0.0, math.inf) if rising else (-math.inf, 0.0)), strict=True)
    shown = decision.interval
    unit = "" if claim.log else step(unit_of(claim, result, keys[0]))
    over = claim.over.replace("_", " ")
    page_p = {} if trend.page is None else {"page": trend.page}
    page = f", Page's test for ordered rows {p_words(trend.page)}" if trend.page is not None else ""
    what = f"the logarithm of {name_of(claim)}" if claim.log else name_of(claim)
    what += f" of {label(claim.row)}" if claim.row else ""
    sentence = (
        f"With each doubling of the {over}, {what} changes by {with_unit(signed(shown.estimate, digits_of(shown)), unit)}, {span(shown, unit)}, "
        f"claimed to {'rise' if rising else 'fall'}; {p_words(decision.p)}, {len(keys)} rows, {how_many(claim, len(groups[0]), claim.paired)}{page}."
    )
    return _verdict(claim, result, keys, decision, "slope", sentence, **page_p)


def _exponent(claim: Claim, result: Result) -> Verdict:
    keys = _along(claim, result)
    if len({key[claim.over] for key in keys}) < 3:
        raise Short("undecided", f"Too few points: {len(keys)} values of {claim.over}, at least 3 are needed.")
    x = [float(key[claim.over]) for key in keys]
    y = [
        row_of(result, key).metrics[claim.metric].mean
        for key in keys
        if by_seed(result, row_of(result, key), claim.metric)
    ]
    if min(*x, *y) <= 0:
        raise Short("undecided", f"An exponent needs positive values; the smallest is {number(min(*x, *y))}.")
    decision = statistics.superiority(statistics.exponent(x, y), claim.at_least, claim.at_most)
    slope = decision.interval
    sentence = (
        f"{subject(claim)} grows as {claim.over.replace('_', ' ')} to the power "
        f"{number(slope.estimate, digits_of(slope))}, {span(slope, '')}, {limits(claim, '')}; {p_words(decision.p)}, {slope.n} points."
    )
    tested = None if slope.error == 0 else Test("two-sided interval", decision.p, LEVEL)
    return Verdict(word_of(decision), sentence, statistic(slope, p=decision.p), test=tested)


def _bound(claim: Claim, result: Result) -> Verdict:
    if claim.kind in EXACT:
        return _in_every_case(claim, result)
    within, unit = limits_of(claim), unit_of(claim, result, claim.row)
    if claim.control is None and (claim.at_least >= within.high or claim.at_most <= within.low):
        return _without_exception(claim, result, within)
    what, keys = subject(claim), [claim.row]
    if claim.control is None:
        (values,) = samples(claim, result, [claim.row], paired=False)
    else:
        keys = [claim.row, claim.control]
        own, control = samples(claim, result, keys, paired=True)
        values = [x / y for x, y in zip(own, control, strict=True)]
        what = f"{what} relative to its control, {label(claim.control)} timed against itself,"
    mean, of_items = statistics.mean_interval(values), ""
    if claim.control is None:
        mean, of_items = _with_items(claim, result, keys, mean)
    mean = statistics.student(mean.estimate, mean.error, mean.freedom, mean.n, mean.confidence, within)
    decision = statistics.superiority(mean, claim.at_least, claim.at_most)
    shown = decision.interval
    between, p = spread(shown, unit, p_words(decision.p))
    sentence = (
        f"{what} is {with_unit(number(shown.estimate, digits_of(shown)), unit)}, "
        f"{between}, {limits(claim, unit)}; {p}, {how_many(claim, shown.n)}{of_items}."
    )
    return _verdict(claim, result, keys, decision, "two-sided interval", sentence)


def _fits(claim: Claim, values: Sequence[float]) -> int:
    """How many values are within the claim's limits, up to rounding."""
    room = [ROUNDING * abs(end) if math.isfinite(end) else 0.0 for end in (claim.at_least, claim.at_most)]
    return sum(claim.at_least - room[0] <= value <= claim.at_most + room[1] for value in values)


def _in_every_case(claim: Claim, result: Result) -> Verdict:
    """A bound on what is computed without randomness: it holds if it does in every case."""
    (values,) = samples(claim, result, [claim.row], paired=False, least=1)
    unit, holding, mean = unit_of(claim, result, claim.row), _fits(claim, values), math.fsum(values) / len(values)
    spread = max(values) - min(values) > ROUNDING * max(abs(value) for value in values)
    cases = values if spread else values[:1]
    said = f"between {number(min(values))} and {number(max(values))}" if spread else number(mean)
    sentence = f"{subject(claim)} is {with_unit(said, unit)}, {limits(claim, unit)}{_cases(holding, cases)}."
    return Verdict("holds" if holding == len(values) else "fails", sentence, {"estimate": mean, "n": len(cases)})


def _without_exception(claim: Claim, result: Result, within: Range) -> Verdict:
    """A claim about every item that was tested: one exception refutes it."""
    (values,) = samples(claim, result, [claim.row], paired=False)
    unit, holding, mean = unit_of(claim, result, claim.row), _fits(claim, values), math.fsum(values) / len(values)
    end = with_unit(number(within.high if claim.at_least >= within.high else within.low), unit)
    looked = shared_items(claim, result, claim.row)
    of = f" on {looked:,} items each" if looked else ""
    sentence = f"{subject(claim)} is {with_unit(number(mean), unit)}, claimed {end} without exception; "
    sentence += (
        f"so with {'all' if holding == len(values) else holding or 'none'} of {how_many(claim, len(values))}{of}."
    )
    return Verdict("holds" if holding == len(values) else "fails", sentence, {"estimate": mean, "n": len(values)})


def _ranks(claim: Claim, result: Result) -> Verdict:
    """A row's place among all rows that `among` selects, each of which must have a result."""
    keys = [
        row.key
        for row in result.rows
        if claim.among.items() <= row.key.items()
        and not any(one.items() <= row.key.items() for one in claim.without)
        and claim.metric in row.metrics
    ]
    if claim.row not in keys:
        raise Short(
            "not run", f"The result of table {result.table} has no row {label(claim.row)} among those compared."
        )
    if len(keys) < 2:
        raise Short(
            "not run", f"The result of table {result.table} has no other row to compare {label(claim.row)} with."
        )
    exact, sign = claim.kind in EXACT, (1.0 if claim.direction == "higher" else -1.0)
    values = samples(claim, result, keys, claim.paired, least=1 if exact else 3)
    signed_values = [[sign * value for value in sample] for sample in values]
    means = [math.fsum(sample) / len(sample) for sample in signed_values]
    index = keys.index(claim.row)
    most = claim.at_most if math.isfinite(claim.at_most) else len(keys)
    least = claim.at_least if math.isfinite(claim.at_least) else 1
    ahead = max((i for i in range(len(keys)) if i != index), key=lambda i: means[i])
    unit = unit_of(claim, result, claim.row)
    rival = f"{label(keys[ahead])}, has {with_unit(number(sign * means[ahead]), unit)}"
    place = 1 + sum(mean > means[index] for i, mean in enumerate(means) if i != index)
    start = f"{subject(claim)} is {with_unit(number(sign * means[index]), unit)}, number {place} of {len(keys)} rows"
    asked = "claimed to lead" if most == 1 else f"claimed to be number {amount(least)} to {amount(most)}"
    best = "the best other row" if place == 1 else "the best row"
    if exact:
        word: Word = "holds" if least <= place <= most else "fails"
        return Verdict(word, f"{start}, {asked}; {best}, {rival}; computed, not sampled.", {"estimate": place, "n": 1})
    rank = statistics.rank(signed_values, index, claim.paired)
    inside, outside = least <= rank.best and rank.worst <= most, rank.best > most or rank.worst < least
    p = rank.p(int(least), int(most))
    sentence = (
        f"{start}, by 95 % intervals {f'between {rank.best} and {rank.worst}' if rank.best < rank.worst else rank.best}, {asked}; "
        f"{best}, {rival}; {how_many(claim, len(values[0]), claim.paired)}."
    )
    statistic = {
        "estimate": rank.rank,
        "low": rank.best,
        "high": rank.worst,
        "confidence": 1 - LEVEL,
        "n": len(values[0]),
        "p": p,
    }
    return Verdict(
        "holds" if inside else "fails" if outside else "undecided", sentence, statistic, test=Test("rank", p, LEVEL)
    )


CHECKS: dict[str, Callable[[Claim, Result], Verdict]] = {
    "equivalence": _equivalence,
    "better": _better,
    "formula": _formula,
    "trend": _trend,
    "exponent": _exponent,
    "bound": _bound,
    "ranks": _ranks,
}

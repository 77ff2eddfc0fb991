"""Does a claim hold? Each check takes its evidence from a table's result and returns a verdict, a statistic and a sentence.

*holds*: the interval lies inside what the claim allows. *fails*: it lies wholly outside, so the evidence is against the claim.
*undecided*: neither, or fewer than three seeds, or a row that is incomplete. *gated*: the table has not passed its gate (`evidence.gate`), so
nothing is concluded from its rows. *not run*: there is no evidence at all.
`quick` results decide nothing; results at `paper` scale are the best evidence, then `laptop`.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from regard_lab.common.errors import UserError
from regard_lab.common.formatting import Key, decimals, label, number, signed, step
from regard_lab.evidence import statistics
from regard_lab.evidence.expression import evaluate
from regard_lab.evidence.gate import Judgement
from regard_lab.evidence.paper import Claim
from regard_lab.evidence.statistics import Interval
from regard_lab.evidence.verdict import WORDS, Verdict, Word
from regard_lab.experiment.results import DECIDING, Result, Row, Scale

__all__ = ["WORDS", "Verdict", "Word", "headline", "judge"]

SEEDS = 3  # fewer are mechanics, not evidence
ROUNDING = 1e-9  # relative; two ways of computing one exact count
MOST_DECIMALS = 9  # an interval that needs more is of seeds that differ in their last bits only, or of tiny numbers


class _Short(Exception):
    """The evidence is not sufficient: says which verdict follows, and why."""

    def __init__(self, verdict: Word, sentence: str) -> None:
        super().__init__(sentence)
        self.verdict: Word = verdict


def judge(
    claim: Claim,
    results: Mapping[Scale, Result],
    stale: Collection[Scale] = (),
    judgements: Mapping[Scale, Judgement] | None = None,
) -> list[Verdict]:
    """A verdict for each scale that decides and has results, best evidence first.

    Args:
        claim: What to decide.
        results: The claim's table at each scale at which it has been run.
        stale: Scales whose result is not that of the current code.
        judgements: What the gate says of each result; left out for a table that trains nothing.

    Returns:
        At least one verdict.
    """
    verdicts = [
        replace(
            _behind((judgements or {}).get(scale), claim, _decide(claim, results[scale])),
            scale=scale,
            stale=scale in stale,
        )
        for scale in DECIDING
        if scale in results
    ]
    if verdicts:
        return verdicts
    if "quick" in results:
        return [
            Verdict("not run", f"Table {claim.table} has quick results only; they show mechanics and decide nothing.")
        ]
    return [Verdict("not run", f"Table {claim.table} has not been run.")]


def headline(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on the claim: the first that is based on evidence."""
    return next((verdict for verdict in verdicts if verdict.verdict != "not run"), verdicts[0])


def _decide(claim: Claim, result: Result) -> Verdict:
    try:
        return CHECKS[claim.check](claim, result)
    except _Short as short:
        return Verdict(short.verdict, str(short))


def _behind(judgement: Judgement | None, claim: Claim, verdict: Verdict) -> Verdict:
    """The verdict, or `gated` with the reason where the claim's problem has not passed the gate."""
    if judgement is None or verdict.verdict == "not run":
        return verdict
    problem = judgement.of(claim.row or (claim.rows[0] if claim.rows else {}), claim.metric)
    if problem is None or problem.status == "passed":
        return verdict
    sentence = f"Not judged, {problem.status}: {problem.sentence}. What was measured: {verdict.sentence}"
    return replace(verdict, verdict="gated", sentence=sentence)


def _row(result: Result, key: Key) -> Row:
    row = result.row(**key)
    if row is None:
        raise _Short("not run", f"The result of table {result.table} has no row {label(key)}.")
    if row.status == "not run" and not row.seeds:
        raise _Short("not run", f"The row {label(key)} was not run: {row.reason or 'no reason is given'}.")
    if row.status != "ok":
        done = f"{len(row.seeds)} seed{'s' * (len(row.seeds) != 1)} finished"
        raise _Short("undecided", f"The row {label(key)} is incomplete ({row.status}, {done}): {row.reason}.")
    return row


def _by_seed(result: Result, row: Row, metric: str) -> dict[int, float]:
    """The values of one metric of one row, by seed."""
    if metric not in row.metrics:
        raise _Short("not run", f"The row {label(row.key)} has no {metric.replace('_', ' ')}.")
    values = row.metrics[metric].values
    if len(values) != len(row.seeds) or len(set(row.seeds)) != len(row.seeds):
        raise UserError(
            f"results of {result.paper}/{result.table} at scale {result.scale}, row {label(row.key)}: "
            f"{len(values)} values of {metric} for the seeds {row.seeds}; delete the result and run the table again"
        )
    return dict(zip(row.seeds, values, strict=True))


def _samples(claim: Claim, result: Result, keys: Sequence[Key], paired: bool) -> list[list[float]]:
    """The metric of each row; paired samples hold the seeds that all rows share, in one order. At least `SEEDS` each."""
    by_row = [_by_seed(result, _row(result, key), claim.metric) for key in keys]
    if paired:
        shared = sorted(set.intersection(*(set(values) for values in by_row)))
        samples = [[values[seed] for seed in shared] for values in by_row]
    else:
        samples = [[values[seed] for seed in sorted(values)] for values in by_row]
    least = min(len(sample) for sample in samples)
    if least < SEEDS:
        what = "shared seed" if paired and len(keys) > 1 else "seed"
        raise _Short("undecided", f"Too few seeds: {least} {what}{'s' * (least != 1)}, at least {SEEDS} are needed.")
    return samples


def _unit(claim: Claim, result: Result, key: Key) -> str:
    return _row(result, key).metrics[claim.metric].unit


def _word(inside: bool, outside: bool) -> Word:
    return "holds" if inside else "fails" if outside else "undecided"


def _statistic(interval: Interval, **more: Any) -> dict[str, Any]:
    ends = {"low": interval.low, "high": interval.high, "confidence": interval.confidence, "n": interval.n}
    return {"estimate": interval.estimate, **ends, **more}


def _digits(interval: Interval) -> int | None:
    digits = decimals((interval.high - interval.low) / 2)
    return digits if digits is None or digits <= MOST_DECIMALS else None


def _span(interval: Interval, unit: str) -> str:
    """ "95 % interval [+4.9, +6.7] points": the ends with two figures of its width."""
    percent = number(100 * interval.confidence, 0 if interval.confidence < 0.98 else 1)
    ends = ", ".join(number(end, _digits(interval)) for end in (interval.low, interval.high))
    return f"{percent} % interval [{ends}]{' ' + unit if unit else ''}"


def _p(p: float) -> str:
    return f"p = {p:.3f}" if p >= 0.001 else "p < 0.001"


def _seeds(n: int, paired: bool) -> str:
    return f"{n} {'paired ' if paired else ''}seeds"


def _against(claim: Claim) -> Key:
    if claim.against is None:
        raise AssertionError(f"claim {claim.id} was read without its `against`")
    return claim.against


def _equivalence(claim: Claim, result: Result) -> Verdict:
    against = _against(claim)
    a, b = _samples(claim, result, [claim.row, against], claim.paired)
    test = statistics.equivalence(a, b, claim.margin, claim.paired)
    wide = (statistics.paired_difference if claim.paired else statistics.unpaired_difference)(a, b)
    unit = step(_unit(claim, result, claim.row))
    word = _word(test.interval.within(-claim.margin, claim.margin), wide.outside(-claim.margin, claim.margin))
    sentence = (
        f"{label(claim.row)} − {label(against)} = {signed(wide.estimate, _digits(wide))} {unit}, {_span(test.interval, unit)}, "
        f"margin ± {number(claim.margin)}; two one-sided tests {_p(test.p)}, {_seeds(wide.n, claim.paired)}."
    )
    return Verdict(word, sentence, _statistic(test.interval, p=test.p, margin=claim.margin))


def _better(claim: Claim, result: Result) -> Verdict:
    against = _against(claim)
    a, b = _samples(claim, result, [claim.row, against], claim.paired)
    sign = 1.0 if claim.direction == "higher" else -1.0
    if claim.relative:
        if 0.0 in b:
            raise _Short("undecided", f"A relative gain over {label(against)} does not exist: one of its values is 0.")
        rise, unit = statistics.relative_gain(a, b), "%"
        difference = rise if sign > 0 else _negated(rise)
    else:
        compare = statistics.paired_difference if claim.paired else statistics.unpaired_difference
        difference, unit = compare([sign * x for x in a], [sign * x for x in b]), step(_unit(claim, result, claim.row))
    inside, outside = difference.low >= claim.least, difference.high < claim.least
    if claim.least == 0:  # better is more than equal
        inside, outside = difference.low > 0, difference.high <= 0
    gain = "relative gain" if claim.relative else "gain"
    sentence = (
        f"{gain} of {label(claim.row)} over {label(against)} {signed(difference.estimate, _digits(difference))} {unit}, {_span(difference, unit)}, "
        f"needed {'at least ' + number(claim.least) if claim.least else 'more than 0'}; {_seeds(difference.n, claim.paired)}."
    )
    return _best_case(
        claim, Verdict(_word(inside, outside), _capital(sentence), _statistic(difference, least=claim.least))
    )


def _negated(interval: Interval) -> Interval:
    return replace(interval, estimate=-interval.estimate, low=-interval.high, high=-interval.low)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]


def _best_case(claim: Claim, verdict: Verdict) -> Verdict:
    if claim.up_to and verdict.verdict == "fails":
        more = " Not reached here; the claim does not name its best case, so this table alone cannot refute it."
        return replace(verdict, verdict="undecided", sentence=verdict.sentence + more)
    return verdict


def _formula(claim: Claim, result: Result) -> Verdict:
    row = _row(result, claim.row)
    measured = _by_seed(result, row, claim.metric)
    what = f"{claim.metric.replace('_', ' ')} of {label(claim.row)}"
    if claim.against is not None:
        below = _by_seed(result, _row(result, claim.against), claim.metric)
        shared = sorted(measured.keys() & below.keys())
        if not shared or any(below[seed] == 0 for seed in shared):
            raise _Short(
                "undecided", f"{what} / {label(claim.against)} does not exist: no shared seed, or a value of 0."
            )
        measured = {seed: measured[seed] / below[seed] for seed in shared}
        what = f"{what} / {label(claim.against)}"
    numbers = {name: value for name, value in claim.row.items() if isinstance(value, int | float)}
    means = {name: metric.mean for name, metric in row.metrics.items() if name != claim.metric}
    expected = evaluate(claim.equals, {**means, **numbers, **claim.constants})
    room = abs(expected) * max(claim.tolerance, ROUNDING)
    values = list(measured.values())
    inside = all(abs(value - expected) <= room for value in values)
    outside = max(values) < expected - room or min(values) > expected + room
    word = _word(inside, outside)
    if word == "fails" and min(values) < max(values):  # a count has no spread; what has one needs its interval
        word = "fails" if statistics.mean_interval(values).outside(expected - room, expected + room) else "undecided"
    mean = math.fsum(values) / len(values)
    sentence = f"{_capital(what)} is {number(mean)}; {claim.equals} = {number(expected)}."
    return Verdict(
        word, sentence, {"estimate": mean, "expected": expected, "tolerance": claim.tolerance, "n": len(values)}
    )


def _along(claim: Claim, result: Result) -> list[Key]:
    """The keys that contain `row`, in the order of the number `over`."""
    keys = [row.key for row in result.rows if claim.row.items() <= row.key.items() and claim.over in row.key]
    return sorted(keys, key=lambda key: float(key[claim.over]))


def _monotone(claim: Claim, result: Result) -> Verdict:
    keys = list(claim.rows) or _along(claim, result)
    if len(keys) < 2:
        raise _Short("not run", f"The result of table {result.table} has fewer than two of the rows.")
    trend = statistics.trend(_samples(claim, result, keys, claim.paired), claim.paired)
    rising = claim.direction == "higher"
    steps = trend.steps if rising else [_negated(one) for one in trend.steps]
    worst = min(steps, key=lambda one: one.low)
    word = _word(worst.low >= -claim.tolerance, any(one.high < -claim.tolerance for one in steps))
    index = steps.index(worst)
    unit = step(_unit(claim, result, keys[0]))
    sentence = (
        f"Weakest of {len(steps)} steps: {label(keys[index])} to {label(keys[index + 1])}, {'rise' if rising else 'fall'} "
        f"{signed(worst.estimate, _digits(worst))} {unit}, {_span(worst, unit)}; Kendall's τ {number(trend.tau, 2)}, {_seeds(worst.n, claim.paired)}."
    )
    return Verdict(word, sentence, _statistic(worst, tau=trend.tau, steps=len(steps)))


def _exponent(claim: Claim, result: Result) -> Verdict:
    keys = _along(claim, result)
    if len({key[claim.over] for key in keys}) < 3:
        raise _Short("undecided", f"Too few points: {len(keys)} values of {claim.over}, at least 3 are needed.")
    x = [float(key[claim.over]) for key in keys]
    y = [
        _row(result, key).metrics[claim.metric].mean
        for key in keys
        if _by_seed(result, _row(result, key), claim.metric)
    ]
    if min(*x, *y) <= 0:
        raise _Short("undecided", f"An exponent needs positive values; the smallest is {number(min(*x, *y))}.")
    slope = statistics.exponent(x, y)
    inside, outside = slope.within(claim.at_least, claim.at_most), slope.outside(claim.at_least, claim.at_most)
    sentence = (
        f"{_capital(claim.metric.replace('_', ' '))} of {label(claim.row)} grows as {claim.over.replace('_', ' ')} to the power "
        f"{number(slope.estimate, _digits(slope))}, {_span(slope, '')}, {_limits(claim)}; {slope.n} points."
    )
    return Verdict(_word(inside, outside), sentence, _statistic(slope))


def _limits(claim: Claim) -> str:
    ends = [("at least", claim.at_least), ("at most", claim.at_most)]
    return "claimed " + " and ".join(f"{word} {number(end)}" for word, end in ends if math.isfinite(end))


def _bound(claim: Claim, result: Result) -> Verdict:
    (values,) = _samples(claim, result, [claim.row], paired=False)
    mean, unit = statistics.mean_interval(values), _unit(claim, result, claim.row)
    inside, outside = mean.within(claim.at_least, claim.at_most), mean.outside(claim.at_least, claim.at_most)
    sentence = (
        f"{_capital(claim.metric.replace('_', ' '))} of {label(claim.row)} is {number(mean.estimate, _digits(mean))}{' ' + unit if unit else ''}, "
        f"{_span(mean, unit)}, {_limits(claim)}; {_seeds(mean.n, False)}."
    )
    return _best_case(claim, Verdict(_word(inside, outside), sentence, _statistic(mean)))


CHECKS: dict[str, Callable[[Claim, Result], Verdict]] = {
    "equivalence": _equivalence,
    "better": _better,
    "formula": _formula,
    "monotone": _monotone,
    "exponent": _exponent,
    "bound": _bound,
}

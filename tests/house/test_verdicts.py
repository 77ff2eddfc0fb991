"""Every verdict on a stored result, recomputed by a second implementation: scipy's own tests on the values in the JSON files.

Nothing here uses `regard_lab.evidence.statistics`, nor `resampling`: where outcomes of test items are kept, the
variance of the two-level bootstrap is computed from the second moments of its draws. Gates are left out: they say whether
a verdict counts, not which it is.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from regard_lab.evidence.claims import judge
from regard_lab.evidence.paper import Claim, load_paper
from regard_lab.evidence.samples import outcomes
from regard_lab.experiment.results import Result, read_result
from tests.paths import ROOT

Again = tuple[str, float | None, float | None]  # verdict, low, high
FEW = 2000


@cache
def stored(paper: str, table: str) -> tuple[Result, Mapping[str, Any]]:
    path = ROOT / "results" / "laptop" / paper / f"{table}.json"
    result = read_result(path)
    return result, {**json.loads(path.read_text()), "read": result}


@cache
def claims() -> dict[str, tuple[str, Claim]]:
    """Each claim whose table has a result at laptop scale, by its id, with its paper."""
    found = {}
    for path in sorted(ROOT.glob("projects/*/paper.yaml")):
        for claim in load_paper(path.parent).claims:
            if (ROOT / "results" / "laptop" / path.parent.name / f"{claim.table}.json").exists():
                found[claim.id] = (path.parent.name, claim)
    return found


def column(raw: Mapping[str, Any], key: Mapping[str, Any], metric: str) -> dict[int, float]:
    (row,) = [row for row in raw["rows"] if row["key"] == dict(key)]
    return dict(zip(row["seeds"], row["metrics"][metric]["values"], strict=True))


def columns(raw: Mapping[str, Any], keys: Sequence[Mapping[str, Any]], claim: Claim) -> list[np.ndarray]:
    values = [column(raw, key, claim.metric) for key in keys]
    seeds = sorted(set.intersection(*(set(one) for one in values)))
    return [np.array([one[seed] for seed in (seeds if claim.paired else sorted(one))]) for one in values]


def word(low: float, high: float, least: float, most: float, strict: bool = False) -> str:
    if strict:
        return "holds" if least < low and high < most else "fails" if high <= least or low >= most else "undecided"
    return "holds" if least <= low and high <= most else "fails" if high < least or low > most else "undecided"


def difference(a: np.ndarray, b: np.ndarray, paired: bool, level: float) -> tuple[float, float]:
    if np.ptp(a - b if paired else np.concatenate([a - a.mean(), b - b.mean()])) == 0:
        return float(a.mean() - b.mean()), float(a.mean() - b.mean())
    test = stats.ttest_rel(a, b) if paired else stats.ttest_ind(a, b, equal_var=False)
    interval = test.confidence_interval(level)
    return float(interval.low), float(interval.high)


def items_of(raw: Mapping[str, Any], claim: Claim) -> int | None:
    if claim.items is None or claim.metric not in claim.items.shares:
        return None
    (row,) = [row for row in raw["rows"] if row["key"] == dict(claim.row)]
    value: Any = raw["records"][row["cells"][0]]["identity"]["config"]
    for part in claim.items.config.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    number = value * claim.items.shares[claim.metric] if isinstance(value, int) else None
    return number if number is not None and number < FEW else None


def with_few_items(a: np.ndarray, b: np.ndarray, items: int, level: float) -> tuple[float, float]:
    """Welch and Satterthwaite over two parts: the seeds' differences, and two independent shares of so many items."""
    d = a - b
    of_seeds, shares = d.var(ddof=1) / len(d), [one.mean() / 100 for one in (a, b)]
    of_items = 1e4 * sum(p * (1 - p) / items for p in shares)
    freedom = (of_seeds + of_items) ** 2 / (of_seeds**2 / (len(d) - 1) + of_items**2 / (items - 1))
    reach = stats.t.ppf((1 + level) / 2, freedom) * math.sqrt(of_seeds + of_items)
    reach = max(reach, stats.t.ppf((1 + level) / 2, len(d) - 1) * math.sqrt(of_seeds))
    return float(d.mean() - reach), float(d.mean() + reach)


def with_kept_items(claim: Claim, raw: Mapping[str, Any], level: float) -> tuple[float, float, float, float] | None:
    """Mean, error, and both ends of an interval over seeds and items; None where items do not enter.

    Where each seed has items of its own, what lies between the seeds' means holds what lies between their items.
    """
    keys = [claim.row, *([claim.against] if claim.against else [])]
    kept = outcomes(claim, raw["read"], keys) if claim.paired and not claim.relative else None
    if kept is None or len(kept) < 3:
        return None
    numbers = [np.sort(one.numbers) for one in kept]
    if not all(np.array_equal(one, numbers[0]) for one in numbers):
        means = np.array([one.values.mean() for one in kept])
        apart = stats.ttest_1samp(means, 0).confidence_interval(level)
        return float(means.mean()), float(stats.sem(means)), float(apart.low), float(apart.high)
    table = np.stack([one.values[np.argsort(one.numbers)] for one in kept])
    square, of_items = pigeonhole(table)
    (seeds, items), mean = table.shape, table.mean()
    freedom = square**2 / ((square - of_items) ** 2 / (seeds - 1) + of_items**2 / (items - 1)) if square else 1.0
    reach = stats.t.ppf((1 + level) / 2, freedom)
    error = math.sqrt(square)
    return float(mean), error, float(mean - reach * error), float(mean + reach * error)


def pigeonhole(table: np.ndarray) -> tuple[float, float]:
    """The variance of the mean of (seeds, items) when n − 1 of n of each are drawn with replacement, and the share that is the items'."""
    seeds, items = table.shape

    def second_moments(
        n: int,
    ) -> tuple[float, float]:  # of shares of a multinomial: on the diagonal more than off it, and off it
        return 1 / (n * (n - 1)), 1 / n**2 - 1 / (n**2 * (n - 1))

    (a, b), (c, d) = second_moments(seeds), second_moments(items)
    of_pairs = c * table @ table.T + d * np.outer(table.sum(1), table.sum(1))
    square = max(float(a * np.trace(of_pairs) + b * of_pairs.sum() - table.mean() ** 2), 0.0)
    return square, min(float(table.mean(0).var(ddof=1) / items), square)


def again(claim: Claim, raw: Mapping[str, Any]) -> Again:
    if claim.kind in ("arithmetic", "deterministic"):
        return exactly(claim, raw), None, None
    return {
        "equivalence": equivalence,
        "better": better,
        "bound": bound,
        "trend": trend,
        "exponent": exponent,
        "ranks": ranks,
    }[claim.check](claim, raw)


def exactly(claim: Claim, raw: Mapping[str, Any]) -> str:
    keys = [claim.row, *([claim.against] if claim.against else [])]
    if claim.check == "ranks":
        means = {
            row["key"]["attention"]: row["metrics"][claim.metric]["mean"]
            for row in raw["rows"]
            if not any(dict(one).items() <= row["key"].items() for one in claim.without)
        }
        return "holds" if max(means, key=lambda name: means[name]) == claim.row["attention"] else "fails"
    values = columns(raw, keys, claim)
    if claim.check == "better":
        sign = 1 if claim.direction == "higher" else -1
        return "holds" if (sign * (values[0] - values[1]) > claim.least).all() else "fails"
    if claim.check == "bound":
        room = 1e-9 * max(abs(end) for end in (claim.at_least, claim.at_most) if math.isfinite(end))
        return (
            "holds" if ((values[0] >= claim.at_least - room) & (values[0] <= claim.at_most + room)).all() else "fails"
        )
    assert claim.check == "formula"
    (row,) = [row for row in raw["rows"] if row["key"] == dict(claim.row)]
    names = {name: metric["mean"] for name, metric in row["metrics"].items() if name != claim.metric}
    names |= {name: value for name, value in claim.row.items() if isinstance(value, int | float)}
    expected = eval(claim.equals, {"__builtins__": {}}, {**names, **claim.constants})
    measured = values[0] / values[1] if len(values) == 2 else values[0]
    return "holds" if np.allclose(measured, expected, rtol=max(claim.tolerance, 1e-9), atol=0) else "fails"


def equivalence(claim: Claim, raw: Mapping[str, Any]) -> Again:
    assert claim.against is not None
    a, b = columns(raw, [claim.row, claim.against], claim)
    items, kept = items_of(raw, claim), with_kept_items(claim, raw, 0.90)
    low, high = with_few_items(a, b, items, 0.90) if items else difference(a, b, claim.paired, 0.90)
    if kept:
        _, _, low, high = kept
    return word(low, high, -claim.margin, claim.margin), low, high


def better(claim: Claim, raw: Mapping[str, Any]) -> Again:
    assert claim.against is not None
    a, b = columns(raw, [claim.row, claim.against], claim)
    if claim.relative:
        a, b = 100 * (a - b) / np.abs(b), np.zeros(len(b))
    items, kept = items_of(raw, claim), with_kept_items(claim, raw, 0.95)
    low, high = with_few_items(a, b, items, 0.95) if items else difference(a, b, claim.paired, 0.95)
    if kept:
        _, _, low, high = kept
    least, most = (claim.least, math.inf) if claim.direction == "higher" else (-math.inf, -claim.least)
    return word(low, high, least, most, claim.least == 0), low, high


def bound(claim: Claim, raw: Mapping[str, Any]) -> Again:
    (values,) = columns(raw, [claim.row], claim)
    if claim.control is not None:
        own, control = columns(raw, [claim.row, claim.control], claim)
        values = own / control
    lowest, highest = claim.column.range if claim.column and claim.column.range else (-math.inf, math.inf)
    if claim.control is None and (claim.at_least >= highest or claim.at_most <= lowest):
        return ("holds" if ((values >= claim.at_least) & (values <= claim.at_most)).all() else "fails"), None, None
    mean, error = values.mean(), stats.sem(values)
    reach = stats.t.ppf(0.975, len(values) - 1)
    if claim.control is None and (kept := with_kept_items(claim, raw, 0.95)):
        mean, error = kept[:2]
        reach = (kept[3] - mean) / error if error else 0.0
    low, high = mean - reach * error, mean + reach * error
    if error and math.isfinite(highest):  # logit, by the delta method
        share, width = (mean - lowest) / (highest - lowest), highest - lowest
        step = reach * error / width / (share * (1 - share))
        low, high = (lowest + width * special.expit(special.logit(share) + s) for s in (-step, step))
    elif error and math.isfinite(lowest):  # log
        low, high = (lowest + (mean - lowest) * math.exp(s * reach * error / (mean - lowest)) for s in (-1, 1))
    return word(low, high, claim.at_least, claim.at_most), float(low), float(high)


def along(claim: Claim, raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    keys = [row["key"] for row in raw["rows"] if claim.row.items() <= row["key"].items() and claim.over in row["key"]]
    return sorted(keys, key=lambda key: key[claim.over])


def trend(claim: Claim, raw: Mapping[str, Any]) -> Again:
    keys = list(claim.rows) or along(claim, raw)
    values = np.stack(columns(raw, keys, claim))
    x = [
        key[claim.over] if claim.over in key else float(np.mean(list(column(raw, key, claim.over).values())))
        for key in keys
    ]
    slopes = np.polyfit(np.log2(np.array(x, dtype=float)), np.log(values) if claim.log else values, 1)[0]
    interval = stats.ttest_1samp(slopes, 0).confidence_interval(0.95)
    least, most = (0, math.inf) if claim.direction == "higher" else (-math.inf, 0)
    return word(interval.low, interval.high, least, most, True), float(interval.low), float(interval.high)


def exponent(claim: Claim, raw: Mapping[str, Any]) -> Again:
    keys = along(claim, raw)
    means = [np.mean(list(column(raw, key, claim.metric).values())) for key in keys]
    (slope, _), covariance = np.polyfit(np.log([key[claim.over] for key in keys]), np.log(means), 1, cov=True)
    reach = stats.t.ppf(0.975, len(keys) - 2) * math.sqrt(covariance[0, 0])
    return word(slope - reach, slope + reach, claim.at_least, claim.at_most), float(slope - reach), float(slope + reach)


def ranks(claim: Claim, raw: Mapping[str, Any]) -> Again:
    keys = [
        row["key"]
        for row in raw["rows"]
        if claim.among.items() <= row["key"].items()
        and not any(dict(one).items() <= row["key"].items() for one in claim.without)
    ]
    values = dict(zip([json.dumps(key) for key in keys], columns(raw, keys, claim), strict=True))
    own = values.pop(json.dumps(dict(claim.row)))
    sign = 1 if claim.direction == "higher" else -1
    tests = sorted((stats.ttest_rel(own, rival).pvalue, sign * (own - rival).mean()) for rival in values.values())
    known = [
        lead
        for i, (p, lead) in enumerate(tests)
        if all(q <= 0.05 / (len(tests) - j) for j, (q, _) in enumerate(tests[: i + 1]))
    ]
    best, worst = 1 + sum(lead < 0 for lead in known), 1 + len(tests) - sum(lead > 0 for lead in known)
    return (
        ("holds" if worst <= claim.at_most else "fails" if best > claim.at_most else "undecided"),
        float(best),
        float(worst),
    )


@pytest.mark.parametrize("paper", sorted(path.parent.name for path in ROOT.glob("projects/*/paper.yaml")))
def test_every_verdict_is_that_of_a_second_implementation(paper: str) -> None:
    compared = 0
    for name, (of, claim) in claims().items():
        if of != paper:
            continue
        result, raw = stored(paper, claim.table)
        (verdict,) = judge(claim, {"laptop": result})
        if verdict.verdict == "not run" or not verdict.statistic:
            continue
        said, low, high = again(claim, raw)
        if low is None:
            assert verdict.verdict == said, f"{name}: {verdict.sentence}"
            compared += 1
            continue
        shown = verdict.statistic["low"], verdict.statistic["high"]
        assert shown == pytest.approx((low, high), rel=1e-6, abs=1e-9), name
        assert verdict.verdict == said, f"{name}: {verdict.sentence}"
        compared += 1
    assert compared > 15


def test_the_second_implementation_tells_verdicts_apart() -> None:
    """It would not agree with whatever is said: turned round, claims that were decided are decided otherwise."""
    turned = 0
    for paper, claim in claims().values():
        result, raw = stored(paper, claim.table)
        rows = [result.row(**key) for key in (claim.row, claim.against or claim.row)]
        run = all(row is not None and row.status == "ok" for row in rows)
        if claim.check == "better" and claim.kind == "experiment" and not claim.least and run:
            before = again(claim, raw)[0]
            other = "lower" if claim.direction == "higher" else "higher"
            after = again(Claim(**{**vars(claim), "direction": other}), raw)[0]
            assert (before, after) in {("holds", "fails"), ("fails", "holds"), ("undecided", "undecided")}
            turned += before != after
    assert turned > 10

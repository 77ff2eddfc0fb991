"""The gate: may the rows of a trained table be compared at all?

A table of trained models says in its file, under `gate`, what its models must beat; a table of several metrics that
stand for separate problems (a column per data set) has a list of gates:

    metric, direction     the column that is judged, and whether `higher` or `lower` is better
    margin, reason        by how much, in the column's unit, the reference row must beat every floor, and why so much
    reference             the row, or a part of its key, that stands for a model that has learnt
    problems              parts of the key that name separate problems, such as data sets, each with a reference row and floors of its own
    floors                name -> `module:function`, a `run` function that scores a trivial or simple model on the same splits by the same
                          metric; or `run` with `seeds`, how many, for one that draws
    floor_rows            parts of keys of rows of the table that are floors themselves, such as the network without attention
    curve                 `name` of the validation curve, whether `higher` or `lower` is better there, and the `tolerance`: the gain over the
                          last fifth of the epochs, in the curve's unit, that counts as none; left out where a table keeps no curve
    trained               false where nothing is trained here, as with pre-trained models: there is no training that had to end, and no curve
    governs               the columns whose claims wait for the gate; left out, `metric` alone
    signal                false where rows share what is judged (one trained model, run in several ways), so that they need not differ

A table that is computed from others says `after`, which tables: it passes when all of them have.

A gate passes when (1) the reference row beats every floor by the margin, judged by the lower end of a 90 % interval
over seeds; (2) training has ended: no row's best value so far improved by more than the tolerance in the last fifth of
its epochs; (3) rows differ by more than seeds do, by one-way analysis of variance (Fisher 1925) at 5 %. A table that
has not passed is shown with the reason, and nothing is concluded from its differences.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from scipy import stats

from regard_lab.common.errors import nearest
from regard_lab.common.formatting import Key, label, number
from regard_lab.common.strict_yaml import Node
from regard_lab.evidence import statistics
from regard_lab.experiment.results import Result, Row
from regard_lab.experiment.table_file import TableFile

Status = Literal["passed", "below the floor", "not converged", "no signal"]
STATUSES: tuple[Status, ...] = ("below the floor", "not converged", "no signal", "passed")  # the gravest first
FLOOR = "floor"  # the part of a floor's key that names it
CONFIDENCE = 0.9  # two-sided: each end is exceeded once in twenty times
SIGNIFICANCE = 0.05
LAST = 5  # training has ended when the last fifth of its epochs brought no gain


@dataclass(frozen=True)
class CurveRule:
    """The curve, and the gain in its last fifth, by which training is judged to have ended."""

    name: str
    direction: str
    tolerance: float


@dataclass(frozen=True)
class Floor:
    """A trivial or simple model: `run` is `module:function`, called as a cell's."""

    run: str
    seeds: int = 1


@dataclass(frozen=True)
class Gate:
    """The content of a table's file under `gate`."""

    metric: str
    direction: str
    margin: float
    reason: str
    reference: Key
    floors: Mapping[str, Floor]
    problems: tuple[str, ...] = ()
    floor_rows: tuple[Key, ...] = ()
    curve: CurveRule | None = None
    governs: tuple[str, ...] = ()
    signal: bool = True
    trained: bool = True


@dataclass(frozen=True)
class Lead:
    """How far the reference row is ahead of one floor, in the metric's unit; `low` is the lower end of its interval, `None` for one seed."""

    floor: str
    value: float
    lead: float
    low: float | None


@dataclass(frozen=True)
class Signal:
    """How much of the values' variance lies between rows (`share`), with the analysis of variance: `f` and `p`."""

    f: float
    p: float
    share: float
    rows: int


@dataclass(frozen=True)
class Ending:
    """The row that improved most in its last epochs, by how much on average over seeds, and in how many epochs."""

    row: Key
    gain: float
    last: int
    epochs: int


@dataclass(frozen=True)
class Problem:
    """One problem of a table, a metric at some parts of the key: its status and the evidence; `None` is unknown."""

    metric: str
    governs: tuple[str, ...]
    key: Key
    status: Status
    sentence: str
    reference: float | None
    leads: list[Lead]
    ending: Ending | None
    signal: Signal | None


@dataclass(frozen=True)
class Judgement:
    """Whether a table's result has passed its gate: the gravest status of its problems, and why."""

    status: Status
    problems: list[Problem] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """One sentence per problem that has not passed; a single positive sentence if all have."""
        fallen = [problem for problem in self.problems if problem.status != "passed"]
        several = len({problem.metric for problem in self.problems}) > 1
        return " ".join(_named(problem, several) for problem in fallen or self.problems)

    def of(self, row: Key, metric: str) -> Problem | None:
        """The problem of a row's metric (the first with the gravest status); `None` for a metric behind no gate."""
        governed = [problem for problem in self.problems if metric in problem.governs or not problem.metric]
        own = [problem for problem in governed if problem.key.items() <= row.items()] or governed
        return min(own, key=lambda problem: STATUSES.index(problem.status), default=None)


def read_gates(file: TableFile) -> tuple[Gate, ...]:
    """A table's gates, none for a table that trains nothing; whatever is wrong in them is one `UserError` that names file and place."""
    if file.gate is None or read_after(file):
        return ()
    nodes = file.gate.items() if isinstance(file.gate.value, list) else [file.gate]
    gates = tuple(_gate(node, file) for node in nodes)
    runs: dict[str, Floor] = {}
    for gate in gates:
        for name, floor in gate.floors.items():
            if runs.setdefault(name, floor) != floor:
                raise file.gate.error(f"the floor {name!r} is {runs[name].run} in one gate and {floor.run} in another")
    return gates


def read_after(file: TableFile) -> tuple[str, ...]:
    """The tables from which a table is computed, and for whose gates it waits."""
    if file.gate is None or not isinstance(file.gate.value, dict) or "after" not in file.gate.value:
        return ()
    return _words(file.gate.fields(("after",))["after"])


def _gate(node: Node, file: TableFile) -> Gate:
    fields = node.fields(
        ("metric", "direction", "margin", "reason", "reference", "floors"),
        ("problems", "floor_rows", "curve", "governs", "signal", "trained"),
    )
    gate = Gate(
        metric=fields["metric"].text(),
        direction=fields["direction"].choice("higher", "lower"),
        margin=fields["margin"].number(),
        reason=fields["reason"].text(),
        reference=fields["reference"].key(),
        floors={name: _floor(item) for name, item in fields["floors"].entries().items()},
        problems=_words(fields.get("problems")),
        floor_rows=tuple(item.key() for item in fields["floor_rows"].items()) if "floor_rows" in fields else (),
        curve=_curve(fields["curve"]) if "curve" in fields else None,
        governs=_words(fields.get("governs")) or (fields["metric"].text(),),
        signal=fields["signal"].flag() if "signal" in fields else True,
        trained=fields["trained"].flag() if "trained" in fields else True,
    )
    _check(gate, file, node)
    return gate


def _floor(node: Node) -> Floor:
    if isinstance(node.value, str):
        return Floor(node.text())
    fields = node.fields(("run", "seeds"))
    return Floor(fields["run"].text(), fields["seeds"].whole())


def _curve(node: Node) -> CurveRule:
    fields = node.fields(("name", "direction", "tolerance"))
    direction = fields["direction"].choice("higher", "lower")
    return CurveRule(fields["name"].text(), direction, fields["tolerance"].number())


def _words(node: Node | None) -> tuple[str, ...]:
    return tuple(item.text() for item in node.items()) if node else ()


def _check(gate: Gate, file: TableFile, node: Node) -> None:
    columns = {name for metrics in file.metrics.values() for name in metrics}
    for name in (gate.metric, *gate.governs):
        if name not in columns:
            raise node.error(f"there is no column {name!r}.{nearest(name, columns)}")
    runs = file.to_run()
    if gate.curve is not None and gate.curve.name not in runs.curves:
        raise node.error(f"the table has no curve {gate.curve.name!r}.{nearest(gate.curve.name, runs.curves)}")
    if gate.curve is not None and not gate.trained:
        raise node.error(
            f"where nothing is trained there is no curve, got trained: false and curve {gate.curve.name!r}"
        )
    for part in (*gate.problems, *gate.reference, *(part for row in gate.floor_rows for part in row)):
        if part not in runs.sets:
            raise node.error(f"no row's key has a part {part!r}; `sets` knows {', '.join(runs.sets)}")
    if min(gate.margin, tolerance := gate.curve.tolerance if gate.curve else 0.0) < 0:
        raise node.error(f"margin and tolerance must not be negative, got {gate.margin:g} and {tolerance:g}")
    if not gate.floors and not gate.floor_rows:
        raise node.error("a gate needs a floor: name one in `floors` or `floor_rows`")


def problems_of(gate: Gate, keys: Sequence[Key]) -> list[Key]:
    """The separate problems among rows, in their order; one without a key where the gate names no part."""
    found: list[Key] = []
    for key in keys:
        problem = {part: key[part] for part in gate.problems if part in key}
        if problem not in found:
            found.append(problem)
    return found


def reference_row(gate: Gate, keys: Sequence[Key], problem: Key) -> Key | None:
    """The one row of a problem that contains the gate's reference; `None` if there is none."""
    wanted = {**problem, **gate.reference}
    return next((key for key in keys if wanted.items() <= key.items()), None)


def judge(gates: Sequence[Gate], result: Result) -> Judgement:
    """The status of a table's result, from its rows and floors alone."""
    keys = [row.key for row in result.rows]
    judged = [_judge_problem(gate, result, problem) for gate in gates for problem in problems_of(gate, keys)]
    fallen = {problem.status for problem in judged}
    return Judgement(next(status for status in STATUSES if status in fallen or status == "passed"), judged)


def judge_after(before: Mapping[str, Judgement | None]) -> Judgement:
    """The status of a table that is computed from others, by their names; `None` for one that has no gate or no result."""
    fallen = {
        name: judgement for name, judgement in before.items() if judgement is None or judgement.status != "passed"
    }
    graves = [judgement.status for judgement in fallen.values() if judgement is not None]
    status = next(status for status in STATUSES if status in graves or status == "passed")
    if len(graves) < len(fallen):
        status = "below the floor"
    words = [
        f"{name} ({judgement.status if judgement else 'no gate or no result'})" for name, judgement in fallen.items()
    ]
    sentence = (
        f"it is computed from tables that have not passed: {', '.join(words)}" if words else "its tables have passed"
    )
    return Judgement(status, [Problem("", (), {}, status, sentence, None, [], None, None)])


def _judge_problem(gate: Gate, result: Result, problem: Key) -> Problem:
    inside = [row for row in result.rows if problem.items() <= row.key.items() and gate.metric in row.metrics]
    floors = [row for row in inside if any(part.items() <= row.key.items() for part in gate.floor_rows)]
    rows = [row for row in inside if row not in floors]
    key = reference_row(gate, [row.key for row in rows], problem)
    reference = next((row for row in rows if row.key == key), None)
    own = [row for row in result.floors if problem.items() <= row.key.items()]
    missing = [name for name in gate.floors if not any(row.key[FLOOR] == name and row.metrics for row in own)]
    named = {str(row.key[FLOOR]).replace("_", " "): row for row in own if row.key[FLOOR] in gate.floors and row.metrics}
    named |= {label(row.key): row for row in floors}
    leads = [_lead(gate, reference, name, row) for name, row in named.items()] if reference else []
    ending = _ending(gate.curve, rows)
    signal = _signal(gate, rows) if gate.signal else None
    fallen: dict[Status, str] = {
        "below the floor": _below(gate, reference, leads, missing),
        "not converged": _unended(gate, ending),
        "no signal": _silent(signal, len(rows)) if gate.signal else "",
    }
    status = next(status for status in STATUSES if fallen.get(status) or status == "passed")
    why = "; ".join(words for words in fallen.values() if words) or _praise(gate, reference, leads, ending, signal)
    mean = reference.metrics[gate.metric].mean if reference else None
    return Problem(gate.metric, gate.governs, problem, status, why, mean, leads, ending, signal)


def _below(gate: Gate, reference: Row | None, leads: Sequence[Lead], missing: Sequence[str]) -> str:
    """Why the reference row does not beat every floor, or nothing."""
    if reference is None:
        return f"there is no row {label(gate.reference)} to compare floors with"
    unit = reference.metrics[gate.metric].unit
    beating = [lead for lead in leads if lead.lead < gate.margin]
    unsure = [lead for lead in leads if lead not in beating and (lead.low is None or lead.low < gate.margin)]
    if beating:
        worst = min(beating, key=lambda lead: lead.lead)
        others = f" (and {len(beating) - 1} more)" if len(beating) > 1 else ""
        words = "is not beaten" if worst.lead <= 0 else f"is beaten by less than {_amount(gate.margin, unit)}"
        return f"the floor {worst.floor}{others} {words}: {_pair(gate, reference, worst)}"
    if unsure:
        worst = min(unsure, key=lambda lead: lead.lead)
        if worst.low is None:
            return f"one seed cannot show that the floor {worst.floor} is beaten: {_pair(gate, reference, worst)}"
        return (
            f"seeds leave open whether the floor {worst.floor} is beaten by {_amount(gate.margin, unit)}:"
            f" {_pair(gate, reference, worst)}, at least {number(worst.low, 2)} ahead"
        )
    if missing:
        return f"the floor {missing[0].replace('_', ' ')} has not been computed"
    return ""


def _unended(gate: Gate, ending: Ending | None) -> str:
    """Why training cannot be said to have ended, or nothing."""
    if not gate.trained:
        return ""
    if gate.curve is None or ending is None:
        return "no curve of the training is recorded, so nothing shows that it had ended"
    if ending.gain <= gate.curve.tolerance:
        return ""
    curve = gate.curve.name.replace("_", " ")
    if math.isinf(ending.gain):
        return f"{label(ending.row)} was trained for one epoch, and nothing shows that it was enough"
    epochs = "the last epoch" if ending.last == 1 else f"the last {ending.last} epochs"
    return (
        f"training had not ended: the best {curve} of {label(ending.row)} still improved by {ending.gain:.3g}"
        f" in {epochs} of {ending.epochs} (tolerance {gate.curve.tolerance:g})"
    )


def _silent(signal: Signal | None, rows: int) -> str:
    """Why rows cannot be told apart, or nothing."""
    if rows < 2:
        return ""
    if signal is None:
        return "with one seed per row nothing tells rows from seeds"
    if signal.p < SIGNIFICANCE:
        return ""
    return f"rows differ no more than seeds do ({_variance(signal)})"


def _praise(
    gate: Gate, reference: Row | None, leads: Sequence[Lead], ending: Ending | None, signal: Signal | None
) -> str:
    nearest_floor = min(leads, key=lambda lead: lead.lead)
    assert reference is not None
    words = [f"the best floor, {nearest_floor.floor}, is beaten: {_pair(gate, reference, nearest_floor)}"]
    if ending is not None and gate.curve is not None:
        words.append(f"training had ended (last gain {max(ending.gain, 0.0):.3g})")
    if signal is not None:
        words.append(f"rows differ more than seeds do ({_variance(signal)})")
    return "; ".join(words)


def _pair(gate: Gate, reference: Row, lead: Lead) -> str:
    metric = reference.metrics[gate.metric]
    return f"{label(reference.key)} {number(metric.mean)}, floor {_amount(lead.value, metric.unit)}"


def _amount(value: float, unit: str) -> str:
    return f"{number(value)} {unit}".strip()


def _variance(signal: Signal) -> str:
    f = "∞" if math.isinf(signal.f) else number(signal.f, 1)
    p = "p < 0.001" if signal.p < 0.001 else f"p = {signal.p:.3f}"
    return f"F = {f}, {p}, {100 * signal.share:.0f} % of the variance lies between {signal.rows} rows"


def _named(problem: Problem, several: bool) -> str:
    where = [problem.metric.replace("_", " ")] if several else []
    where += [label(problem.key)] if problem.key else []
    words = f"{', '.join(where)}: {problem.sentence}" if where else problem.sentence
    return f"{words[:1].upper()}{words[1:]}."


def _lead(gate: Gate, reference: Row, name: str, floor: Row) -> Lead:
    sign = 1 if gate.direction == "higher" else -1
    ours, theirs = ([sign * value for value in row.metrics[gate.metric].values] for row in (reference, floor))
    value = floor.metrics[gate.metric].mean
    lead = math.fsum(ours) / len(ours) - math.fsum(theirs) / len(theirs)
    if len(ours) < 2:
        return Lead(name, value, lead, None)
    if len(theirs) < 2:
        return Lead(name, value, lead, statistics.mean_interval(ours, CONFIDENCE).low - theirs[0])
    return Lead(name, value, lead, statistics.unpaired_difference(ours, theirs, CONFIDENCE).low)


def _ending(rule: CurveRule | None, rows: Sequence[Row]) -> Ending | None:
    """The row that gained most in its last epochs; `None` where no curve is recorded."""
    if rule is None:
        return None
    endings = [_gain(rule, row) for row in rows if rule.name in row.curves]
    return max(endings, key=lambda ending: ending.gain, default=None)


def _gain(rule: CurveRule, row: Row) -> Ending:
    """By how much the best value so far improved in the last epochs, on average over seeds."""
    sign = 1 if rule.direction == "higher" else -1
    curves = [[sign * value for value in curve] for curve in row.curves[rule.name].values]
    epochs = min(len(curve) for curve in curves)
    last = max(1, epochs // LAST)
    if epochs <= last:  # one epoch: nothing shows that it was enough
        return Ending(row.key, math.inf, last, epochs)
    gains = [max(curve) - max(curve[:-last]) for curve in curves]
    return Ending(row.key, math.fsum(gains) / len(gains), last, epochs)


def _signal(gate: Gate, rows: Sequence[Row]) -> Signal | None:
    """The analysis of variance of rows over seeds; `None` with fewer than two rows, or without a row of two seeds."""
    samples = [row.metrics[gate.metric].values for row in rows]
    if len(samples) < 2 or max(len(sample) for sample in samples) < 2:
        return None
    means = [math.fsum(sample) / len(sample) for sample in samples]
    everything = [value for sample in samples for value in sample]
    grand = math.fsum(everything) / len(everything)
    between = math.fsum(len(s) * (mean - grand) ** 2 for s, mean in zip(samples, means, strict=True))
    within = math.fsum((value - mean) ** 2 for s, mean in zip(samples, means, strict=True) for value in s)
    freedom = len(samples) - 1, len(everything) - len(samples)
    if within == 0:
        return Signal(math.inf if between else 0.0, 0.0 if between else 1.0, 1.0 if between else 0.0, len(samples))
    f = (between / freedom[0]) / (within / freedom[1])
    return Signal(f, float(stats.f.sf(f, *freedom)), between / (between + within), len(samples))

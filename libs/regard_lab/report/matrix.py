"""Mechanisms by tasks over all papers: what each mechanism gains or loses against softmax attention, and what it costs in time and memory.

A task is a table's metric that a gate judges or, in a table without a gate, a metric for which a claim of kind
`experiment` compares with softmax attention. Quality is the difference to the table's own softmax row, seed by seed,
with its 95 % interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from regard.bench.cases import LIBRARY
from regard.bench.table import Row as Timed
from regard.registry import list_mechanisms
from regard_lab.common.formatting import Key, parts, step
from regard_lab.experiment.results import Result, Row, Scale
from regard_lab.experiment.table_file import Column
from regard_lab.report.layout import BASELINE, baseline_of, difference, references
from regard_lab.report.performance import Performance, settings
from regard_lab.report.view import PaperView, TableView

PART = "attention"
LENGTH = 4096  # of the columns of time and memory


@dataclass(frozen=True)
class Task:
    """A column: one metric of one table. `direction` is `higher`, `lower` or unknown (""); `gate` the gate's status, "" without a gate."""

    paper: str
    table: str
    metric: str
    title: str
    unit: str
    direction: str
    scale: Scale
    gate: str
    stands_in: str


@dataclass(frozen=True)
class Score:
    """One mechanism in one task: its gain over softmax attention (signed as the metric is), for each setting that was run."""

    setting: str
    text: str
    interval: str
    seeds: int
    sense: str  # better, worse, open: whether the interval excludes 0, and on which side
    order: float


@dataclass(frozen=True)
class Cost:
    """Time and memory on split heads, forward, over fused softmax attention: above 1 is faster, and more memory."""

    setting: str
    speed: float | None
    memory: float | None


@dataclass(frozen=True)
class Line:
    """One mechanism: its scores in the order of the tasks, none where it was not run."""

    name: str
    kind: str
    scores: list[list[Score]]
    costs: list[Cost]


@dataclass(frozen=True)
class Matrix:
    """The whole matrix. The `kind` of a line is `mechanism` or `control`."""

    tasks: list[Task]
    lines: list[Line]
    cost_note: str


def matrix(views: Sequence[PaperView], measured: Performance | None) -> Matrix:
    """Put the mechanisms of all papers side by side.

    Args:
        views: The papers.
        measured: The measured times and memory, if there are any.

    Returns:
        The matrix; mechanisms first, by how many tasks they were run in.
    """
    tasks = [(task, table) for view in views for table in view.tables for task in _tasks(view, table)]
    names: dict[str, list[list[Score]]] = {}
    for index, (task, table) in enumerate(tasks):
        for name, scores in _scores(task, table).items():
            names.setdefault(name, [[] for _ in tasks])[index] = scores
    costs, note = _costs(measured)
    known = list_mechanisms()
    for name in (*costs, *known):
        names.setdefault(name, [[] for _ in tasks])
    lines = [
        Line(name, "mechanism" if name in known else "control", scores, costs.get(name, []))
        for name, scores in names.items()
        if name != BASELINE[PART]
    ]
    lines.sort(key=lambda line: (line.kind != "mechanism", -sum(map(bool, line.scores)), line.name))
    return Matrix([task for task, _ in tasks], lines, note)


def _tasks(view: PaperView, table: TableView) -> list[Task]:
    scale = next((scale for scale in table.results if scale != "quick"), None)
    if scale is None or not any(row.key.get(PART) == BASELINE[PART] for row in table.results[scale].rows):
        return []
    metrics = {
        gate.metric: gate.direction
        for gate in table.published.gates
        if gate.reference.get(PART) == BASELINE[PART] and len(gate.reference) == 1
    }
    if not table.published.gates and not table.published.after:
        for one in view.claims:
            claim = one.claim
            compared = claim.against is not None and claim.against.get(PART) == BASELINE[PART]
            if claim.table == table.name and claim.kind == "experiment" and compared:
                direction = claim.direction if claim.check == "better" else metrics.get(claim.metric, "")
                metrics[claim.metric] = direction
    judged = table.judgements.get(scale)
    stands_in = [f"{use.name} for {use.stands_in_for}" for use in table.results[scale].data if use.stands_in_for]
    tasks = []
    for metric, direction in metrics.items():
        column = table.published.column(metric)
        if column is None:
            continue
        problem = judged.of(BASELINE, metric) if judged else None
        tasks.append(
            Task(
                view.paper.name,
                table.name,
                metric,
                column.label,
                step(column.unit),
                direction,
                scale,
                problem.status if problem else "",
                "; ".join(stands_in),
            )
        )
    return tasks


def _scores(task: Task, table: TableView) -> dict[str, list[Score]]:
    result = table.results[task.scale]
    column = table.published.column(task.metric)
    if column is None:
        return {}
    keys = [row.key for row in result.rows if task.metric in row.metrics]
    by_task: dict[str, list[Score]] = {}
    for row in result.rows:
        base = baseline_of(row.key, keys, references(table))
        score = _score(row, base, result, column, task)
        if score is not None and base is not None and isinstance(row.key.get(PART), str):
            by_task.setdefault(str(row.key[PART]), []).append(score)
    return by_task


def _score(row: Row, base: Key | None, result: Result, column: Column, task: Task) -> Score | None:
    reference = result.row(**base) if base is not None and base != row.key else None
    gap = difference(column, row, reference)
    if gap is None or reference is None:
        return None
    ours, theirs = row.metrics[task.metric], reference.metrics[task.metric]
    order = ours.mean - theirs.mean
    sign = {"higher": 1, "lower": -1}.get(task.direction, 0)
    sense = "open"
    if gap.low is not None and gap.high is not None and sign:
        low, high = sorted((sign * gap.low, sign * gap.high))
        sense = "better" if low > 0 else "worse" if high < 0 else "open"
    rest = {part: value for part, value in row.key.items() if part != PART and base is not None and part not in base}
    same = {part: value for part, value in row.key.items() if part != PART and part not in rest and part in row.key}
    setting = parts({PART: "", **same, **rest})[1]
    return Score(setting, gap.text, gap.interval, ours.n, sense, order)


def _costs(measured: Performance | None) -> tuple[dict[str, list[Cost]], str]:
    """From the machine with most rows: noncausal self attention, split heads, forward, at the most common size."""
    if measured is None or not measured.machines:
        return {}, ""
    machine = max(measured.machines, key=lambda one: len(one.rows))
    rows = [
        row
        for row in machine.rows
        if (row.case.pattern, row.case.level, row.case.backward, row.case.n) == ("noncausal_self", "mix", False, LENGTH)
    ]
    sizes = [_size(row) for row in rows]
    common = max(set(sizes), key=sizes.count, default=None)
    own = [row for row, size in zip(rows, sizes, strict=True) if size == common]
    fused: Mapping[object, Timed] = {row.case.kind: row for row in own}
    costs: dict[str, list[Cost]] = {}
    for row in own:
        base = fused.get(row.case.kind.baseline)
        if row.case.form != LIBRARY or row.case.mechanism == BASELINE[PART]:
            continue
        memory = row.peak_mib / base.peak_mib if base and base.peak_mib and row.peak_mib else None
        costs.setdefault(row.case.mechanism, []).append(Cost(settings(row.case.kind), row.speed, memory))
    for listed in costs.values():  # the fastest setting first: a page shows one
        listed.sort(key=lambda cost: -(cost.speed or 0))
    note = f"{LENGTH:,} tokens, noncausal self attention, forward, on {machine.environment.processor}"
    return costs, note


def _size(row: Timed) -> tuple[object, ...]:
    case = row.case
    return case.batch, case.heads, case.head_width, case.dtype, case.device

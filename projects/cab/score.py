"""Bring your own attention: `python -m projects.cab.score my_file.py:MyAttention --scale quick`.

Certifies it in every pattern that it declares, trains the benchmark's task for each, and prints its compositional index
among those of the mechanisms here. The rows stay in the table `own` of the report. What has been trained is not trained
again; the same command resumes a stopped run. From Python, and a notebook: `regard_lab.score(MyAttention)`.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from projects.cab.config import PROJECT
from projects.cab.tasks.by_pattern import tables_of
from regard.certification import PROPERTIES, Outcome, certify
from regard.common.patterns import ALL_PATTERNS, Pattern
from regard.loading import BadRequest, find_class, key_and_value
from regard.registry import UnknownMechanism, UnsupportedPattern
from regard_lab import data
from regard_lab.common.errors import UserError, command
from regard_lab.common.formatting import signed
from regard_lab.evidence.statistics import mean_interval
from regard_lab.experiment.cells import Cell
from regard_lab.experiment.composition import compose
from regard_lab.experiment.executors import EXECUTORS
from regard_lab.experiment.experiment_file import check_scale
from regard_lab.experiment.results import DECIDING, Metric, Result, Row, Scale, read_result, result_path, write_result
from regard_lab.experiment.running import run_cells
from regard_lab.experiment.table_file import TableSpec
from regard_lab.experiment.tables import Table, check_config, make_cell, result_of
from regard_lab.gate import judgement_of

OWN = "own"
METRICS = {"index": "", "over_none": "", "tasks": "", "attention_parameters": "", "train_time_s": "s"}


def patterns_of(target: str, wanted: Sequence[str]) -> list[Pattern]:
    """The patterns to score: those that the class declares, or the wanted ones among them.

    Raises:
        UserError: There is no such class, it declares no pattern, or it does not declare a wanted one.
    """
    try:
        declared = tuple(getattr(find_class(target), "patterns", ()))
    except (BadRequest, UnknownMechanism) as error:
        raise UserError(str(error)) from None
    if unknown := [pattern for pattern in wanted if pattern not in declared]:
        raise UserError(f"{target} does not declare {unknown[0]}; it declares {', '.join(declared) or 'no pattern'}")
    if not declared:
        raise UserError(f"{target} declares no pattern: decorate the class with @mechanism(name, patterns=…, paper=…)")
    return [pattern for pattern in ALL_PATTERNS if pattern in (wanted or declared)]


def certified(target: str, patterns: Sequence[Pattern], options: dict[str, Any]) -> list[Outcome]:
    """The outcome of every property in every pattern, with a progress bar."""
    cls = find_class(target)
    outcomes: list[Outcome] = []
    with tqdm(total=len(patterns) * len(PROPERTIES), desc="certification", unit="property", disable=None) as bar:
        for pattern in patterns:
            for name, _ in PROPERTIES:
                bar.set_postfix_str(f"{pattern}: {name}")
                try:
                    outcomes += certify(cls, [pattern], options=options or None, properties=[name])
                except (TypeError, ValueError, UnsupportedPattern) as error:
                    raise UserError(f"{target}: {error}") from None
                bar.update()
    return outcomes


def table_of(target: str, patterns: Sequence[Pattern], scale: Scale, options: dict[str, Any], root: Path) -> Table:
    """The cells of a mechanism: one row per pattern, as in the table `index`."""
    rows: list[list[Cell]] = []
    for pattern in patterns:
        key = {"attention": shown_name(target), "pattern": pattern}
        overrides = [f"attention.name={target}", f"pattern={pattern}"]
        overrides += [f"+attention.options.{name}={value}" for name, value in options.items()]
        composed = compose(PROJECT, root, ["table=index", f"scale={scale}", *overrides])
        check_config(PROJECT, composed.config, f"{target}, {pattern}: ")
        spec = own_spec(composed.spec)
        name = "".join(letter if letter.isalnum() else "_" for letter in shown_name(target))
        seeds = range(spec.seeds)
        rows.append(
            [make_cell(PROJECT, composed, OWN, f"{name}-{pattern}-seed{seed}", seed, root, spec, key) for seed in seeds]
        )
    return Table(paper=PROJECT.name, name=OWN, scale=scale, spec=spec, rows=rows)


def shown_name(target: str) -> str:
    """`some/where/file.py:Class` as `file.py:Class`: a report holds no path of anybody's machine."""
    return target.rpartition("/")[2]


def own_spec(index: TableSpec) -> TableSpec:
    """The table `index` with the further columns of `own`."""
    return replace(index, run="projects.cab.analyses.index:own", metrics=METRICS)


def merged(new: Result, path: Path) -> Result:
    """The earlier rows, with those of this run in place of their predecessors.

    Code outside this repository has no fingerprint, so that nobody can tell whether a row of it is stale: score again after a change.
    """
    before = read_result(path) if path.exists() else None
    rows = [row for row in before.rows if new.row(**row.key) is None] if before else []
    kept = {cell for row in rows for cell in row.cells}
    records = {name: record for name, record in before.records.items() if name in kept} if before else {}
    return Result(
        paper=new.paper,
        table=new.table,
        scale=new.scale,
        fingerprint=None,  # type: ignore[arg-type]
        data=new.data,
        rows=[*rows, *new.rows],
        records={**records, **new.records},
    )


def standing(own: Row, others: Result | None) -> list[tuple[str, Metric, Metric, bool]]:
    """The mechanisms of the row's pattern, best first: name, index, gain over no attention, and whether it is the new one."""
    pattern = own.key["pattern"]
    rows = [row for row in others.rows if row.key["pattern"] == pattern and "index" in row.metrics] if others else []
    ranked = sorted([*rows, own], key=lambda row: -row.metrics["index"].mean)
    return [(str(row.key["attention"]), row.metrics["index"], row.metrics["over_none"], row is own) for row in ranked]


def shown(metric: Metric) -> str:
    """The mean with its 95 % interval over seeds; the mean alone where there is one seed."""
    mean = signed(metric.mean, 3)
    if metric.n < 2:
        return mean
    interval = mean_interval(metric.values)
    return f"{mean} [{signed(interval.low, 3)}, {signed(interval.high, 3)}]"


def gate_warnings(patterns: Sequence[Pattern], scale: Scale, root: Path) -> dict[Pattern, list[str]]:
    """For each pattern with a table that has not passed its gate, one sentence for each: nothing is ranked there."""
    warnings: dict[Pattern, list[str]] = {}
    for pattern, name in [(each, table) for each in patterns for table in tables_of(each)]:
        judgement = judgement_of(PROJECT.name, name, scale, root) if scale in DECIDING else None
        if judgement is not None and judgement.status != "passed":
            sentence = f"{pattern}: {name} has not passed its gate, so nothing is ranked. {judgement.sentence}"
            warnings.setdefault(pattern, []).append(sentence)
    return warnings


def report(table: Result, others: Result | None, scale: Scale, warnings: Mapping[Pattern, Sequence[str]]) -> str:
    """One table: a block per pattern, best first, the new mechanism marked; ranks only where the gates have been passed."""
    width = max(26, *(len(str(row.key["attention"])) for row in table.rows)) + 2
    lines = [f"{'':<{width + 6}}{'index':>26}{'over no attention':>28}"]
    for row in table.rows:
        (pattern,) = (known for known in ALL_PATTERNS if known == row.key["pattern"])
        lines.append(f"{pattern} ({', '.join(tables_of(pattern))})")
        if row.status != "ok" or not row.metrics:
            lines.append(f"    {row.status}: {row.reason}")
            continue
        ranked = scale in DECIDING and pattern not in warnings
        for place, (name, index, gain, mine) in enumerate(standing(row, others), start=1):
            mark, rank = "▸" if mine else " ", place if ranked else "·"
            lines.append(f" {mark}{rank:>3}  {name:<{width}}{shown(index):>26}{shown(gain):>28}")
    lines += ["", *(sentence for sentences in warnings.values() for sentence in sentences)] if warnings else []
    if scale == "quick":
        lines.append("\nquick: mechanics, not evidence, so nothing is ranked; scale laptop has numbers with seeds")
    if others is None:
        lines.append(f"\nnothing to compare with yet: run `python -m regard_lab.reproduce cab/index --scale {scale}`")
    return "\n".join(lines)


def score_class(
    mechanism: type[nn.Module] | str,
    *,
    scale: str = "quick",
    patterns: Sequence[str] = (),
    anyway: bool = False,
    workers: int | None = None,
    **options: Any,
) -> Result | None:
    """`regard_lab.score`, which has the description."""
    root = Path(__file__).parents[2]
    target = mechanism if isinstance(mechanism, str) else target_of(mechanism)
    executor = "inline" if target.startswith("__main__:") else "processes"  # no other process knows a notebook's class
    tier = check_scale(scale)
    if (place := target.rpartition(":")[0]).endswith(".py"):
        target = f"{Path(place).resolve()}:{target.rpartition(':')[2]}"
    with chdir(root):
        score(target, tier, patterns, options, anyway=anyway, executor=executor, workers=workers, root=root)
        path = result_path(root, PROJECT.name, OWN, tier)
        kept = read_result(path) if path.exists() else None
    if kept is None:
        return None
    rows = [row for row in kept.rows if row.key["attention"] == shown_name(target)]
    return replace(kept, rows=rows) if rows else None


def target_of(cls: type[nn.Module]) -> str:
    """How a command line would name a class: its registered name, its file, or `__main__:Class` of a notebook.

    Raises:
        UserError: It is no class at the top of a module, so that it has no name by which it could be found.
    """
    name, module = cls.__qualname__, sys.modules.get(cls.__module__)
    if getattr(module, name, None) is not cls:
        raise UserError(
            f"{name} is not defined at the top of a file or notebook, so that no cell could find it by name"
        )
    if cls.__module__.startswith("regard.mechanisms."):
        return str(cls.name)
    file = getattr(module, "__file__", None)
    return f"{file}:{name}" if file else f"{cls.__module__}:{name}"


def score(
    target: str,
    scale: Scale,
    wanted: Sequence[str],
    options: dict[str, Any],
    *,
    anyway: bool,
    executor: str,
    workers: int | None,
    root: Path,
) -> int:
    """Certify, train, write the rows, print the table.

    Returns:
        The exit code: 1 if a property or a cell failed, else 0.
    """
    patterns = patterns_of(target, wanted)
    outcomes = certified(target, patterns, options)
    failed = [outcome for outcome in outcomes if not outcome.passed]
    for pattern in patterns:
        passed = [outcome.passed for outcome in outcomes if outcome.pattern == pattern]
        print(f"{'✓' if all(passed) else '✗'} {pattern}: {sum(passed)} of {len(passed)} properties hold")
    for outcome in failed:
        print(f"    {outcome.pattern}, {outcome.property}: {outcome.detail}")
    if failed and not anyway:
        print("not certified, so nothing was trained; --anyway trains it nevertheless")
        return 1
    table = table_of(target, patterns, scale, options, root)
    for name in table.spec.data_sets:
        data.ensure(name, root, table.cells[0].config["data"]["source"])
    result = result_of(table, run_cells(table, root, executor, workers, {}), root)
    path = result_path(root, PROJECT.name, OWN, scale)
    write_result(path, merged(result, path))
    index = result_path(root, PROJECT.name, "index", scale)
    warnings = gate_warnings(patterns, scale, root)
    print(report(result, read_result(index) if index.exists() else None, scale, warnings))
    print(
        f"\nrows written to {path.relative_to(root)}; `make report` shows them on the page of this paper, table {OWN}"
    )
    return 1 if failed or any(row.status != "ok" for row in result.rows) else 0


@command
def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m projects.cab.score", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("mechanism", help="path/to/file.py:Class, module:Class, or a registered name")
    parser.add_argument("--scale", default="quick", help="quick, laptop or paper")
    parser.add_argument(
        "--pattern", action="append", default=[], metavar="PATTERN", help="only this one; may be repeated"
    )
    parser.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the mechanism")
    parser.add_argument("--anyway", action="store_true", help="train even what is not certified")
    parser.add_argument("--executor", default="processes", choices=EXECUTORS)
    parser.add_argument("--workers", type=int, default=None, help="how many cells at once (default: one per core)")
    arguments = parser.parse_args()
    try:
        options = dict(map(key_and_value, arguments.option))
    except BadRequest as error:
        raise UserError(str(error)) from None
    torch.set_num_threads(1)
    return score(
        arguments.mechanism,
        check_scale(arguments.scale),
        arguments.pattern,
        options,
        anyway=arguments.anyway,
        executor=arguments.executor,
        workers=arguments.workers,
        root=Path.cwd(),
    )


if __name__ == "__main__":
    sys.exit(main())

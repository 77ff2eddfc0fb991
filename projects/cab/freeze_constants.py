"""`python -m projects.cab.freeze_constants --scale laptop`: recompute the constants of our index from the results of the task tables.

μ and σ of a metric are the mean and the sample standard deviation (n − 1) over the mechanisms of its table, each by its
mean over seeds; the model without attention, released variants and other settings are left out. They are written to
`constants.yaml`, in Git, and stay until this command is run again: an index means the same from one release to the
next, and a mechanism that is added later does not move the others.

A metric enters the index only if its table has passed the gate: floors beaten, training ended, and mechanisms further
apart than seeds. What is refused is printed and written with the reason, for its σ would be that of seeds, and its
z-scores noise. At quick, where nothing has learnt, the gate is not asked; a metric that is equal for all mechanisms has
no z-score at any scale.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from projects.cab.analyses.z_scores import Constant
from projects.cab.config import FOLDER
from projects.cab.tasks.by_pattern import TASKS, PatternTask
from regard_lab.common.errors import UserError, command
from regard_lab.common.files import write_atomically
from regard_lab.evidence.gate import Judgement
from regard_lab.experiment.experiment_file import check_scale
from regard_lab.experiment.results import DECIDING, Result, Scale, read_result, result_path
from regard_lab.gate import judgement_of

HEAD = """# The frozen constants of our index, by scale, pattern and table: written by `python -m projects.cab.freeze_constants`, not by hand.
# Those of quick come from a quick run and mean as little as it does.
"""


def constants_at(scale: Scale, root: Path, *, anyway: bool = False) -> dict[str, Any]:
    """The constants of every pattern at a scale, in the order of the patterns: table -> its metrics, and those that are refused with the reason.

    Args:
        scale: quick, laptop or paper.
        root: The folder of the repository.
        anyway: Whether what has not passed its gate is taken nevertheless.

    Raises:
        UserError: No table has a result at that scale, or one not completely.
    """
    constants: dict[str, Any] = {}
    missing: list[str] = []
    for pattern, tasks in TASKS.items():
        constants[pattern] = {}
        for task in tasks:
            path = result_path(root, "cab", task.table, scale)
            if not path.exists():
                missing.append(task.table)
                continue
            judgement = judgement_of("cab", task.table, scale, root) if scale in DECIDING and not anyway else None
            constants[pattern][task.table] = constants_of(read_result(path), task, judgement)
    if not any(constants.values()):
        raise UserError(
            f"cab/{missing[0]} and the other tables of the index have no result at {scale}:"
            f" run `python -m regard_lab.reproduce cab/{missing[0]} --scale {scale}`"
        )
    return constants


def constants_of(result: Result, task: PatternTask, judgement: Judgement | None) -> dict[str, Any]:
    """μ and σ of a task's metrics over the mechanisms of a result, which these are, and which metrics are refused.

    Args:
        result: Of the task's table.
        task: Says which metrics, and which rows count.
        judgement: What the gate says of the result; `None` if that does not matter.

    Raises:
        UserError: A row is missing, or there are fewer than two mechanisms.
    """
    rows = [row for row in result.rows if task.counts(row.key)]
    if missing := [str(row.key["attention"]) for row in rows if row.status != "ok"]:
        raise UserError(f"cab/{result.table} at {result.scale} lacks {', '.join(missing)}: constants need every row")
    if len(rows) < 2:
        raise UserError(f"cab/{result.table} at {result.scale} has {len(rows)} mechanisms; a deviation needs two")
    constants = {name: Constant.of([row.metrics[name].mean for row in rows]) for name in task.metrics}
    refused = {name: reason for name in task.metrics if (reason := refusal(judgement, name))}
    for name, constant in constants.items():
        if constant.sd == 0 and name not in refused:  # z would divide by it
            refused[name] = f"all {len(rows)} mechanisms have {constant.mean:g}"
    return {
        "over": [str(row.key["attention"]) for row in rows],
        "seeds": min(len(row.seeds) for row in rows),
        "metrics": {
            name: {"mean": constant.mean, "sd": constant.sd}
            for name, constant in constants.items()
            if name not in refused
        },
        "refused": refused,
    }


def refusal(judgement: Judgement | None, metric: str) -> str:
    """Why a metric does not enter the index, or nothing."""
    problem = judgement.of({}, metric) if judgement is not None else None
    if problem is None or problem.status == "passed":
        return ""
    return f"{problem.status}: {problem.sentence}"


@command
def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m projects.cab.freeze_constants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scale", default="quick", help="quick, laptop or paper")
    parser.add_argument("--anyway", action="store_true", help="freeze even what has not passed the gate")
    arguments = parser.parse_args()
    scale = check_scale(arguments.scale)
    path = FOLDER / "constants.yaml"
    frozen = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None) or {}
    frozen[scale] = constants_at(scale, Path.cwd(), anyway=arguments.anyway)
    write_atomically(path, HEAD + yaml.safe_dump(frozen, sort_keys=False, width=150, allow_unicode=True))
    for pattern, tables in frozen[scale].items():
        for table, constants in tables.items():
            mechanisms, seeds = len(constants["over"]), constants["seeds"]
            names = ", ".join(constants["metrics"]) or "no metric"
            print(f"{pattern:<16} {table:<12} {names}: {mechanisms} mechanisms, {seeds} seed(s)")
            for metric, reason in constants["refused"].items():
                print(f"{'':<16} {'':<12} refused: {metric}, {reason}")
        if absent := [task.table for task in TASKS[pattern] if task.table not in tables]:
            print(f"{pattern:<16} {', '.join(absent)}: no result at {scale}")
    print(f"written: {path}; run the tables index and benefit again")
    return 0


if __name__ == "__main__":
    sys.exit(main())

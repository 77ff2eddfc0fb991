"""`python -m projects.cab.freeze_constants --scale laptop`: recompute the constants of our index from the results of the four task tables.

μ and σ of a metric are the mean and the sample standard deviation (n − 1) over the mechanisms of its table, each by its mean over seeds; the
model without attention is left out. They are written to `constants.yaml`, in Git, and stay until this command is run again: an index means the
same from one release to the next, and a mechanism that is added later does not move the others.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from projects.cab.analyses.z_scores import Constant
from projects.cab.config import FOLDER, NONE
from projects.cab.tasks.by_pattern import INDEX_METRICS, TABLES
from regard_lab.common.errors import UserError, command
from regard_lab.common.files import write_atomically
from regard_lab.experiment.experiments import check_scale
from regard_lab.experiment.results import Result, read_result, result_path

HEAD = """# The frozen constants of our compositional index, by scale and pattern: written by `python -m projects.cab.freeze_constants`, not by hand.
# Those of quick come from a quick run and mean as little as it does.
"""


def constants_at(scale: str, root: Path) -> dict[str, Any]:
    """The constants of every pattern at a scale, in the order of the patterns.

    Raises:
        UserError: A table has not been run at that scale, or not completely.
    """
    constants: dict[str, Any] = {}
    for pattern, table in TABLES.items():
        path = result_path(root, "cab", table, scale)
        if not path.exists():
            raise UserError(
                f"cab/{table} has no result at {scale}: run `python -m regard_lab.reproduce cab/{table} --scale {scale}`"
            )
        constants[pattern] = constants_of(read_result(path), INDEX_METRICS[pattern])
    return constants


def constants_of(result: Result, metrics: tuple[str, ...]) -> dict[str, Any]:
    """μ and σ of the metrics over the mechanisms of a result, and which these are.

    Raises:
        UserError: A row is missing, or there are fewer than two mechanisms.
    """
    rows = [row for row in result.rows if row.key["attention"] != NONE]
    if missing := [str(row.key["attention"]) for row in rows if row.status != "ok"]:
        raise UserError(f"cab/{result.table} at {result.scale} lacks {', '.join(missing)}: constants need every row")
    if len(rows) < 2:
        raise UserError(f"cab/{result.table} at {result.scale} has {len(rows)} mechanisms; a deviation needs two")
    constants = {name: Constant.of([row.metrics[name].mean for row in rows]) for name in metrics}
    return {
        "table": result.table,
        "over": [str(row.key["attention"]) for row in rows],
        "seeds": min(len(row.seeds) for row in rows),
        "metrics": {name: {"mean": constant.mean, "sd": constant.sd} for name, constant in constants.items()},
    }


@command
def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m projects.cab.freeze_constants",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scale", default="quick", help="quick, laptop or paper")
    scale = check_scale(parser.parse_args().scale)
    path = FOLDER / "constants.yaml"
    frozen = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None) or {}
    frozen[scale] = constants_at(scale, Path.cwd())
    write_atomically(path, HEAD + yaml.safe_dump(frozen, sort_keys=False, width=150, allow_unicode=True))
    for pattern, constants in frozen[scale].items():
        mechanisms, seeds = len(constants["over"]), constants["seeds"]
        print(f"{pattern:<16} {constants['table']:<12} {mechanisms} mechanisms, {seeds} seed(s)")
    print(f"written: {path}; run the tables index and benefit again")
    return 0


if __name__ == "__main__":
    sys.exit(main())

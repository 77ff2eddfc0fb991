"""`python -m projects.cab.freeze --scale laptop`: take the constants of our index anew, from the results of the four task tables at a scale.

μ and σ of a metric are the mean and the sample standard deviation (n − 1) over the mechanisms of its table, each mechanism its mean over seeds, the
model without attention left out. They are written to `constants.yaml`, in Git, and stay until this command is run again: an index means the
same thing from one release to the next, and a mechanism that is added later does not move the others.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

from projects.cab.config import FOLDER, NONE
from projects.cab.index import Constant
from projects.cab.tasks import MODULES, TABLES
from regard_lab.common.errors import UserError, command
from regard_lab.common.files import write_atomically
from regard_lab.experiment.experiment_file import check_scale
from regard_lab.experiment.results import Result, read_result, result_path

HEAD = """# The frozen constants of our compositional index, by scale and pattern: written by `python -m projects.cab.freeze`, not by hand.
# Those of quick come from a quick run and mean as little as it does.
"""


def freeze(scale: str, root: Path) -> dict[str, Any]:
    """The constants of every pattern at a scale; a table that has not been run, or not wholly, is a `UserError`."""
    found = {}
    for pattern, table in TABLES.items():
        path = result_path(root, "cab", table, scale)
        if not path.exists():
            raise UserError(
                f"cab/{table} has no result at {scale}: run `python -m regard_lab.reproduce cab/{table} --scale {scale}`"
            )
        found[pattern] = constants_of(read_result(path), MODULES[pattern].INDEX_METRICS)
    return found


def constants_of(result: Result, metrics: tuple[str, ...]) -> dict[str, Any]:
    """μ and σ of the metrics over the mechanisms of a result, and who they are."""
    rows = [row for row in result.rows if row.key["attention"] != NONE]
    if missing := [str(row.key["attention"]) for row in rows if row.status != "ok"]:
        raise UserError(f"cab/{result.table} at {result.scale} lacks {', '.join(missing)}: constants need every row")
    if len(rows) < 2:
        raise UserError(f"cab/{result.table} at {result.scale} has {len(rows)} mechanisms; a deviation needs two")
    taken = {name: Constant.of([row.metrics[name].mean for row in rows]) for name in metrics}
    return {
        "table": result.table,
        "over": [str(row.key["attention"]) for row in rows],
        "seeds": min(len(row.seeds) for row in rows),
        "metrics": {name: {"mean": each.mean, "sd": each.sd} for name, each in taken.items()},
    }


@command
def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m projects.cab.freeze", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--scale", default="quick", help="quick, laptop or paper")
    scale = check_scale(parser.parse_args().scale)
    path = FOLDER / "constants.yaml"
    frozen = (yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None) or {}
    frozen[scale] = freeze(scale, Path.cwd())
    write_atomically(path, HEAD + yaml.safe_dump(frozen, sort_keys=False, width=150, allow_unicode=True))
    for pattern, each in frozen[scale].items():
        print(f"{pattern:<16} {each['table']:<12} {len(each['over'])} mechanisms, {each['seeds']} seed(s)")
    print(f"written: {path}; the tables index and benefit are to be run again")
    return 0


if __name__ == "__main__":
    sys.exit(main())

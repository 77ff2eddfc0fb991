"""`python -m projects.smyrf.analyses.compute_budget`: print the GPU hours of every table; run it in the folder that holds projects/."""

import sys
from pathlib import Path

from projects.smyrf.analyses import compute_budget
from projects.smyrf.analyses.compute_budget.report import TABLES, cells_of, report
from projects.smyrf.analyses.compute_budget.work import merged
from regard_lab.common.errors import command


@command
def main() -> int:
    """The command."""
    if sys.argv[1:]:
        print(compute_budget.__doc__)
        return 0 if set(sys.argv[1:]) <= {"-h", "--help"} else 2
    print(report({table: merged(works(cells_of(table, Path.cwd()))) for table, works in TABLES.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

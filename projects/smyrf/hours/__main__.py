"""`python -m projects.smyrf.hours`: print the hours of every table; run it where projects/ stands."""

import sys
from pathlib import Path

from projects.smyrf import hours
from projects.smyrf.hours.report import report
from projects.smyrf.hours.tables import TABLES, cells_of
from projects.smyrf.hours.work import together
from regard_lab.common.errors import command


@command
def main() -> int:
    if sys.argv[1:]:
        print(hours.__doc__)
        return 0 if set(sys.argv[1:]) <= {"-h", "--help"} else 2
    print(report({table: together(works(cells_of(table, Path.cwd()))) for table, works in TABLES.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Train one cell: `python -m projects.cab.train table=lm attention.name=local scale=laptop seed=0`."""

import sys

from projects.cab.project import PROJECT

if __name__ == "__main__":
    from regard_lab.one_cell import command_of  # the command's own code decides nothing of what a cell gives

    sys.exit(command_of(PROJECT))

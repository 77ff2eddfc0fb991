"""Train one cell: `python -m projects.cab.train table=lm attention.name=local scale=laptop seed=0`."""

import sys

from projects.cab.config import PROJECT
from regard_lab.experiment.run_one import command_of

if __name__ == "__main__":
    sys.exit(command_of(PROJECT))

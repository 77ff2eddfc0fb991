"""Measure a kept run again: `python -m projects.explaining.evaluate runs/quick/explaining/single/NAME [data=NAME]`."""

import sys

from projects.explaining.config import PROJECT
from regard_lab.experiment.kept_runs import command_of

if __name__ == "__main__":
    sys.exit(command_of(PROJECT))

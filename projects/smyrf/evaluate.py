"""Measure a kept run again: `python -m projects.smyrf.evaluate runs/quick/smyrf/single/NAME [data=NAME]`."""

import sys

from projects.smyrf.config import PROJECT
from regard_lab.experiment.kept_runs import command_of

if __name__ == "__main__":
    sys.exit(command_of(PROJECT))

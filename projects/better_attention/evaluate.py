"""Measure a kept run again: `python -m projects.better_attention.evaluate runs/quick/better_attention/single/NAME [data=NAME]`."""

import sys

from projects.better_attention.config import PROJECT
from regard_lab.experiment.kept_runs import command_of

if __name__ == "__main__":
    sys.exit(command_of(PROJECT))

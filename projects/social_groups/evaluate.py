"""Measure a kept run again: `python -m projects.social_groups.evaluate runs/quick/social_groups/single/NAME [data=NAME]`."""

import sys

from projects.social_groups.config import PROJECT
from regard_lab.experiment.kept_runs import command_of

if __name__ == "__main__":
    sys.exit(command_of(PROJECT))

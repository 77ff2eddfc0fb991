"""Train one cell: `python -m projects.social_groups.train experiment=court model.queries=sum model.self_attention=inter_intra seed=0`."""

import sys

from projects.social_groups.config import PROJECT
from regard_lab.experiment.run_one import command_of

if __name__ == "__main__":
    sys.exit(command_of(PROJECT))

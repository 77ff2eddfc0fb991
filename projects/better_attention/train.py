"""Train one cell: `python -m projects.better_attention.train experiment=imdb model.attention=super scale=laptop seed=0`."""

import sys

from projects.better_attention.config import PROJECT
from regard_lab.experiment.run_one import command_of

if __name__ == "__main__":
    sys.exit(command_of(PROJECT))

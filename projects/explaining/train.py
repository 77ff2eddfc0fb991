"""One cell: `python -m projects.explaining.train table=definitions experiment=encoder_imdb analysis.attention=E4 scale=laptop seed=0`."""

import sys

from projects.explaining.config import PROJECT
from regard_lab.experiment.run_one import command_of

if __name__ == "__main__":
    sys.exit(command_of(PROJECT))

"""One cell: `python -m projects.explaining.train table=definitions experiment=encoder_imdb analysis.attention=E4 scale=laptop seed=0`."""

import sys

from projects.explaining.project import PROJECT

if __name__ == "__main__":
    from regard_lab.one_cell import command_of  # the command's own code decides nothing of what a cell gives

    sys.exit(command_of(PROJECT))

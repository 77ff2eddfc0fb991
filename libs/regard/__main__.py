"""`python -m regard list | certify | bench`: which mechanisms exist, which keep the contract, how fast they are.

    python -m regard list
    python -m regard certify smyrf --pattern noncausal_self --option rounds=2
    python -m regard certify my_attention.py:MyAttention        a class of your own, in a file or in a module (module:Class)
    python -m regard certify --all --markdown                   the matrix of all mechanisms
    python -m regard certify --all --write README.md            the same, written into its place in a file
    python -m regard certify smyrf --write README.md            one row of it, beside the existing rows
    python -m regard bench smyrf --memory                       time and memory against fused softmax attention

Exit status: 0 everything requested holds, 1 a property fails, 2 the request cannot be met.
"""

import argparse
import io
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from regard.bench import command as bench
from regard.certification import PROPERTIES, Outcome, certify, name_of
from regard.common.patterns import ALL_PATTERNS, Pattern
from regard.loading import BadRequest, find_class, key_and_value
from regard.registry import list_mechanisms, mechanism_class

BEGIN, END = "<!-- certified: begin -->", "<!-- certified: end -->"
LEGEND = "✓ holds   ✗ fails   – not claimed, or not declared"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status, as in the module's docstring."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without ✓ gets a stand-in, and the work is not lost
            stream.reconfigure(errors="replace")
    options = parser().parse_args(arguments)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # a user's own module, also when started by an installed script
    try:
        return int(options.run(options))
    except (ValueError, TypeError) as error:  # raised before any work; inside the work, everything is an outcome
        print(f"regard: {error}", file=sys.stderr)
        return 2


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m regard", description="Attention mechanisms: list, certify and time them."
    )
    commands = top.add_subparsers(required=True, metavar="list | certify | bench")
    listing = commands.add_parser("list", help="names, patterns and papers of all mechanisms")
    listing.set_defaults(run=print_mechanisms)
    proving = commands.add_parser("certify", help="check every property that a mechanism must have")
    proving.add_argument("target", nargs="?", metavar="NAME", help="a mechanism, module:Class or path/to/file.py:Class")
    proving.add_argument("--all", action="store_true", help="all mechanisms: the matrix mechanism × pattern")
    proving.add_argument(
        "--pattern", action="append", metavar="P", help=f"only this one, repeatable: {', '.join(ALL_PATTERNS)}"
    )
    proving.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="an option of the mechanism, repeatable"
    )
    proving.add_argument("--details", action="store_true", help="the numbers of what holds, too")
    proving.add_argument("--markdown", action="store_true", help="the table in Markdown")
    proving.add_argument(
        "--write",
        type=Path,
        metavar="FILE",
        help=f"put the matrix, or the row of the mechanism that is named, into FILE too, between {BEGIN} and {END}",
    )
    proving.set_defaults(run=certify_mechanisms)
    bench.add_to(commands)
    return top


def print_mechanisms(options: argparse.Namespace) -> int:
    """Print name, patterns and paper of every mechanism."""
    rows = [("name", "patterns", "paper")]
    for name in list_mechanisms():
        cls = mechanism_class(name)
        rows.append((name, " ".join(cls.patterns), cls.paper))
    print_table(rows)
    return 0


def certify_mechanisms(options: argparse.Namespace) -> int:
    """Certify one mechanism, property by pattern, or all of them, mechanism by pattern."""
    if options.all == (options.target is not None):
        raise BadRequest("name one mechanism to certify, or give --all")
    if options.all:
        if options.option:
            raise BadRequest("--option belongs to one mechanism: name it instead of giving --all")
        if options.write and options.pattern:
            raise BadRequest("--write puts the whole matrix into a file: leave --pattern out")
        return certify_all(options)
    if options.write and (options.pattern or options.option):
        raise BadRequest("--write puts a whole row into a file: leave --pattern and --option out")
    cls = find_class(options.target)
    if options.write and options.target not in list_mechanisms():
        raise BadRequest(f"--write is for mechanisms that have a name in the library, got {options.target!r}")
    before, written, after = matrix_in(options.write) if options.write else ("", {}, "")
    outcomes = certify(cls, options.pattern, options=dict(map(key_and_value, options.option)))
    patterns = list(dict.fromkeys(each.pattern for each in outcomes))
    marks = {(each.pattern, each.property): mark(each) for each in outcomes}
    rows = [("property", *patterns)]
    rows += [(name, *(marks[pattern, name] for pattern in patterns)) for name, _ in PROPERTIES]
    print_table(rows, markdown=options.markdown)
    if options.write:
        written[options.target] = [cell(outcomes, pattern) for pattern in ALL_PATTERNS]
        text = matrix_text({name: written[name] for name in sorted(written)})
        options.write.write_text(f"{before}{text}{after}", encoding="utf-8")
    print(f"\n{LEGEND}\n")
    if options.details:
        print_details([each for each in outcomes if each.passed])
    return conclude({name_of(cls): outcomes})


def certify_all(options: argparse.Namespace) -> int:
    """Print the matrix mechanism × pattern: a mark, and how many properties fail."""
    patterns = [pattern for pattern in ALL_PATTERNS if options.pattern is None or pattern in options.pattern]
    if options.pattern is not None and (unknown := set(options.pattern) - set(ALL_PATTERNS)):
        raise BadRequest(f"there is no pattern {min(unknown)!r}; there are {', '.join(ALL_PATTERNS)}")
    before, _, after = matrix_in(options.write) if options.write else ("", {}, "")
    rows: dict[str, list[str]] = {}
    by_mechanism: dict[str, list[Outcome]] = {}
    for name in list_mechanisms():
        cls = mechanism_class(name)
        declared = [pattern for pattern in patterns if pattern in cls.patterns]
        if sys.stderr.isatty():
            print(f"\r\033[K{name} …", end="", file=sys.stderr, flush=True)
        by_mechanism[name] = certify(cls, declared)
        rows[name] = [cell(by_mechanism[name], pattern) for pattern in patterns]
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr)
    print(matrix_text(rows, patterns, markdown=options.markdown), end="")
    if options.write:
        options.write.write_text(f"{before}{matrix_text(rows)}{after}", encoding="utf-8")
    print(f"\n{LEGEND}\n")
    if options.details:
        for name, outcomes in by_mechanism.items():
            print(name)
            print_details([each for each in outcomes if each.passed])
    return conclude(by_mechanism)


def mark(outcome: Outcome) -> str:
    """✓ holds, ✗ fails, – not claimed."""
    return "✗" if not outcome.passed else "✓" if outcome.claimed else "–"


def cell(outcomes: list[Outcome], pattern: Pattern) -> str:
    """One pattern of one mechanism: ✓, ✗ with the number of failures, or – where it is not declared."""
    here = [each for each in outcomes if each.pattern == pattern]
    failures = sum(not each.passed for each in here)
    return "–" if not here else f"✗ {failures}" if failures else "✓"


def matrix_text(
    rows: Mapping[str, Sequence[str]], patterns: Sequence[Pattern] = ALL_PATTERNS, *, markdown: bool = True
) -> str:
    """The matrix as text: for each mechanism the cells of its patterns."""
    return table_text([("mechanism", *patterns), *((name, *cells) for name, cells in rows.items())], markdown=markdown)


def matrix_in(path: Path) -> tuple[str, dict[str, list[str]], str]:
    """The text of a file before its matrix, the matrix's rows, and the text after it.

    Raises BadRequest if the file has no place for a matrix.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadRequest(f"{path} cannot be read: {error.strerror}") from error
    before, begin, rest = text.partition(f"{BEGIN}\n")
    matrix, end, after = rest.partition(END)
    if not (begin and end):
        raise BadRequest(f"{path} has no lines {BEGIN} and {END} to put the matrix between")
    lines = [[words.strip() for words in line.strip("| ").split("|")] for line in matrix.splitlines()[2:]]
    return before + begin, {name: cells for name, *cells in lines}, end + after


def table_text(rows: Sequence[Sequence[str]], *, markdown: bool = False) -> str:
    """Rows of text in aligned columns, one line per row; the first row is the headings."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[text.ljust(width) for text, width in zip(row, widths, strict=True)] for row in rows]
    if markdown:
        lines.insert(1, ["-" * width for width in widths])
    return "".join((f"| {' | '.join(line)} |" if markdown else "  ".join(line).rstrip()) + "\n" for line in lines)


def print_table(rows: Sequence[Sequence[str]], *, markdown: bool = False) -> None:
    """Print `table_text`."""
    print(table_text(rows, markdown=markdown), end="")


def print_details(outcomes: list[Outcome]) -> None:
    """One line per outcome: the property, its pattern and its numbers."""
    for each in outcomes:
        print(f"{mark(each)} {each.property}, {each.pattern}: {each.detail}")
    if outcomes:
        print()


def conclude(by_mechanism: dict[str, list[Outcome]]) -> int:
    """Print the failures and one closing line; the exit status."""
    failed = {name: [each for each in outcomes if not each.passed] for name, outcomes in by_mechanism.items()}
    for name, failures in failed.items():
        if failures and len(by_mechanism) > 1:
            print(name)
        print_details(failures)
    pairs = {(name, each.pattern) for name, outcomes in by_mechanism.items() for each in outcomes}
    broken = {(name, each.pattern) for name, failures in failed.items() for each in failures}
    who = next(iter(by_mechanism)) if len(by_mechanism) == 1 else f"{len(by_mechanism)} mechanisms"
    if not broken:
        print(f"{who}: certified for {counted(len(pairs), 'pattern')}")
        return 0
    properties = sum(map(len, failed.values()))
    bad = "" if len(by_mechanism) == 1 else f" of {counted(sum(map(bool, failed.values())), 'mechanism')}"
    print(
        f"{who}: not certified, {counted(properties, 'failure')}{bad} in {len(broken)} of {counted(len(pairs), 'pattern')}"
    )
    return 1


def counted(number: int, noun: str) -> str:
    """1 pattern, 4 patterns."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


if __name__ == "__main__":
    sys.exit(main())

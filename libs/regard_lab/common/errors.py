"""Errors that a user can mend. A command prints one sentence and ends with exit code 2; everything else is a bug and keeps its traceback."""

import difflib
import functools
import sys
from collections.abc import Callable, Iterable


class UserError(Exception):
    """Something outside the code is wrong: a config, a file, a package, a disk. The message says what, where, and what to do."""


class DataMissing(UserError):
    """No source of a data set could be reached. Rows that need it are «not run», not «failed»."""


def nearest(word: str, known: Iterable[str]) -> str:
    """« Did you mean 'super'? » or nothing, to end a message about an unknown name."""
    found = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {found[0]!r}?" if found else ""


def command(main: Callable[[], int | None]) -> Callable[[], int]:
    """Turn a `main` into a command whose user errors are one line on stderr and exit code 2."""

    @functools.wraps(main)
    def run() -> int:
        try:
            return main() or 0
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted: what was finished is kept, the same command goes on from there", file=sys.stderr)
            return 130

    return run

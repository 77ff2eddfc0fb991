"""User-fixable errors. A command prints one as a sentence and exits with code 2; everything else is a bug and keeps its traceback."""

import difflib
import functools
import sys
from collections.abc import Callable, Iterable


class UserError(Exception):
    """Something outside the code is wrong: a config, a file, a package, a disk. The message says what, where, and what to do."""


class DataMissing(UserError):
    """No source of a data set could be reached. Rows that need it are "not run", not "failed"."""


def nearest(word: str, known: Iterable[str]) -> str:
    """ " Did you mean 'super'?", or nothing: the end of a message about an unknown name."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def command(main: Callable[[], int | None]) -> Callable[[], int]:
    """Make `main` a command: a `UserError` becomes one line on stderr and exit code 2."""

    @functools.wraps(main)
    def run() -> int:
        try:
            return main() or 0
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted: what was finished is kept, and the same command resumes there", file=sys.stderr)
            return 130

    return run

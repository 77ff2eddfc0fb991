"""User-fixable errors. A command prints one as a sentence and exits with code 2; everything else is a bug and keeps its traceback."""

import difflib
import errno
import functools
import io
import sys
from collections.abc import Callable, Iterable

CANNOT_WRITE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}


class UserError(Exception):
    """Something outside the code is wrong: a config, a file, a package, a disk. The message says what, where, and what to do."""


class DataMissing(UserError):
    """No source of a data set could be reached. Rows that need it are "not run", not "failed"."""


def nearest(word: str, known: Iterable[str]) -> str:
    """ " Did you mean 'super'?", or nothing: the ending of a message about an unknown name."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def command(main: Callable[[], int | None]) -> Callable[[], int]:
    """Make `main` a command: a `UserError`, or a disk that cannot be written, becomes one line on stderr and exit code 2.

    A character that the terminal cannot show is replaced by another one instead of ending the work.
    """

    @functools.wraps(main)
    def run() -> int:
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        try:
            return main() or 0
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except OSError as error:
            if error.errno not in CANNOT_WRITE:
                raise
            where = f"{error.filename}: " if error.filename else ""
            print(
                f"error: {where}{error.strerror}; results, runs, data and reports are written below the repository",
                file=sys.stderr,
            )
            return 2
        except KeyboardInterrupt:
            print("interrupted: what was finished is kept, and the same command resumes there", file=sys.stderr)
            return 130

    return run

"""Errors that a user can mend: one line, an exit code, the nearest right word; everything else keeps its traceback."""

import errno
import io
import sys
from collections.abc import Callable

import pytest

from regard_lab.common.errors import DataMissing, UserError, command, nearest


def failing(error: BaseException) -> Callable[[], int]:
    def main() -> int:
        raise error

    return command(main)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("the disk is full"), 2, "error: the disk is full\n"),
        (DataMissing("no network"), 2, "error: no network\n"),
        (
            KeyboardInterrupt(),
            130,
            "interrupted: what was finished is kept, and the same command resumes there\n",
        ),
    ],
)
def test_a_users_error_is_one_line(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failing(error)() == code
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", line)


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        failing(ZeroDivisionError())()


@pytest.mark.parametrize(("given", "code"), [(None, 0), (0, 0), (1, 1)])
def test_the_code_of_a_command_that_ends(given: int | None, code: int) -> None:
    def main() -> int | None:
        """What it does."""
        return given

    assert command(main)() == code
    assert command(main).__doc__ == "What it does."


def test_the_nearest_word() -> None:
    assert nearest("sper", ["softmax", "super"]) == " Did you mean 'super'?"
    assert nearest("sper", (word for word in ("softmax", "super"))) == " Did you mean 'super'?"
    assert nearest("linformer", ["softmax", "super"]) == ""
    assert nearest("x", []) == ""


@pytest.mark.parametrize("code", ["EACCES", "EROFS", "ENOSPC"])
def test_what_cannot_be_written_is_one_line(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(OSError(getattr(errno, code), "no such luck", "results/x.json"))() == 2
    assert capsys.readouterr().err.startswith("error: results/x.json: no such luck; results, runs")


def test_another_error_of_the_system_is_a_bug() -> None:
    with pytest.raises(ConnectionResetError):
        failing(ConnectionResetError(errno.ECONNRESET, "gone"))()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_the_letters_gets_stand_ins(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))

    def main() -> None:
        print("n × C − ε ✓")
        sys.stdout.flush()

    assert command(main)() == 0
    assert raw.getvalue().startswith(b"n ")

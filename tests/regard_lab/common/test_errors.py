"""Errors that a user can mend: one line, an exit code, the nearest right word; everything else keeps its traceback."""

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

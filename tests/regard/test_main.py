"""`python -m regard list | certify`, in this process where that will do, and a user's own mechanism from outside the repository."""

import io
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regard import registry
from regard.__main__ import BEGIN, END, main
from regard.certification import PROPERTIES, Outcome, certify
from regard.common.patterns import ALL_PATTERNS

OWN = Path(__file__).parent / "linear_attention.py"
BROKEN = """
import torch
from regard.attention import Attention

class Peeking(Attention):
    patterns = ("causal_self",)

    def mix(self, q, k, v, key_mask):
        return v.roll(-1, 2)

class Patternless(Attention):
    pass

def function(q, k, v):
    return v
"""


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, own_registry: None) -> Iterator[None]:
    """Commands run from a user's folder; what they register and import is forgotten."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_peeking.py").write_text(BROKEN)
    (tmp_path / "own_unready.py").write_text("import a_package_that_is_not_there\n")
    yield
    for name in [name for name in sys.modules if name.startswith(("own_", "user_"))]:
        del sys.modules[name]


def test_list_gives_every_mechanism_on_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["name", *registry.list_mechanisms()]
    (softmax,) = (line for line in lines if line.startswith("softmax "))
    assert softmax.split()[1:5] == list(ALL_PATTERNS)
    assert softmax.endswith("Vaswani et al. 2017")


def test_a_certified_mechanism(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", "softmax", "--pattern", "causal_self"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["property", "causal_self"]
    assert [line[:-1].rstrip() for line in lines[1 : 1 + len(PROPERTIES)]] == [name for name, _ in PROPERTIES]
    assert {line[-1] for line in lines[1 : 1 + len(PROPERTIES)]} <= {"✓", "–"}
    assert lines[-1] == "softmax: certified for 1 pattern"


def test_a_users_file_from_their_own_folder() -> None:
    shutil.copy(OWN, "linear_attention.py")
    command = [
        sys.executable,
        "-m",
        "regard",
        "certify",
        "linear_attention:LinearAttention",
        "--pattern",
        "causal_self",
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.splitlines()[-1] == "linear: certified for 1 pattern"


def test_a_users_file_by_its_path_in_every_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    registry._registered.pop("linear", None)  # should the library have one
    assert main(["certify", f"{OWN}:LinearAttention", "--markdown"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == ["property", *ALL_PATTERNS]
    assert set(lines[1]) == set("|- ")
    assert lines[-1] == "linear: certified for 4 patterns"


def test_failures_are_told_with_their_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", "own_peeking.py:Peeking"]) == 1
    out = capsys.readouterr().out
    assert "✗ causality, causal_self: another future after 1 positions: differs by" in out
    assert out.splitlines()[-1].startswith("Peeking: not certified, ")


def test_the_matrix_of_all(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def faked(cls: type, patterns: list[str]) -> list[Outcome]:
        return [Outcome(p, "padding", cls.name != "super" or p != "causal_self", "a reason") for p in patterns]  # type: ignore[attr-defined,arg-type]

    monkeypatch.setattr("regard.__main__.certify", faked)
    assert main(["certify", "--all", "--markdown"]) == 1
    out = capsys.readouterr().out
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines() if line.startswith("|")]
    rows = {name: cells for name, *cells in table}
    assert rows["mechanism"] == list(ALL_PATTERNS)
    assert rows["super"] == ["✓", "✗ 1", "✓", "✓"]
    assert rows["nystrom"] == ["✓", "–", "–", "–"]
    assert "✗ padding, causal_self: a reason" in out
    assert main(["certify", "--all", "--pattern", "noncausal_self"]) == 0


def test_the_matrix_is_put_in_its_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("regard.__main__.certify", lambda cls, patterns: [Outcome(p, "", True, "") for p in patterns])
    page = tmp_path / "README.md"
    page.write_text(f"before\n{BEGIN}\n| old |\n{END}\nafter\n")
    assert main(["certify", "--all", "--markdown", "--write", str(page)]) == 0
    printed = "".join(f"{line}\n" for line in capsys.readouterr().out.splitlines() if line.startswith("|"))
    assert page.read_text() == f"before\n{BEGIN}\n{printed}{END}\nafter\n"
    assert "| softmax " in printed
    page.write_text("no matrix")
    assert main(["certify", "--all", "--write", str(page)]) == 2
    assert f"has no lines {BEGIN} and {END}" in capsys.readouterr().err
    assert page.read_text() == "no matrix"


def test_one_row_of_the_matrix_is_put_in_its_place(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def outcomes(cls: type, patterns: object, options: object) -> list[Outcome]:
        bad = ("causal_self", PROPERTIES[0][0])
        return [Outcome(p, name, (p, name) != bad, "") for p in ALL_PATTERNS for name, _ in PROPERTIES]

    monkeypatch.setattr("regard.__main__.certify", outcomes)
    page, head = tmp_path / "README.md", f"| mechanism | {' | '.join(ALL_PATTERNS)} |\n| - | - | - | - | - |\n"
    page.write_text(f"before\n{BEGIN}\n{head}| abc | ✓ | – | – | – |\n| super | ✓ | – | – | ✓ |\n{END}\nafter\n")
    for _ in range(2):  # a row that is new, then one that is there
        assert main(["certify", "softmax", "--write", str(page)]) == 1
        assert "| " not in capsys.readouterr().out
        before, *matrix, last, after = page.read_text().splitlines()
        assert (before, matrix[0], last, after) == ("before", BEGIN, END, "after")
        rows = [[words.strip() for words in line.strip("|").split("|")] for line in matrix[3:]]
        assert rows == [["abc", "✓", "–", "–", "–"], ["softmax", "✓", "✗ 1", "✓", "✓"], ["super", "✓", "–", "–", "✓"]]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["sofmax"], "there is no mechanism 'sofmax'. Did you mean 'softmax'?"),
        (["softmax", "--pattern", "causal"], "there is no pattern 'causal'. Did you mean 'causal_self'?"),
        (["nystrom", "--pattern", "causal_self"], "'nystrom' does not have the pattern 'causal_self'; it has"),
        (["softmax", "--option", "rounds=2"], "unexpected keyword argument 'rounds'"),
        (["softmax", "--option", "width=2"], "certification sets width itself"),
        (["softmax", "--option", "rounds"], "--option takes KEY=VALUE, got 'rounds'"),
        (["super", "--option", "length=50"], "certification runs at lengths up to 100, got length = 50"),
        (["no_such_module:Class"], "there is no module 'no_such_module'"),
        (["no_such_file.py:Class"], "there is no file no_such_file.py"),
        (["own_unready:Class"], "own_unready cannot be imported: No module named 'a_package_that_is_not_there'"),
        (["own_unready.py:Class"], "own_unready.py cannot be imported: ModuleNotFoundError"),
        (["own_peeking:Peekin"], "own_peeking has no class 'Peekin'. Did you mean 'Peeking'?"),
        (["own_peeking:Patternless"], "Patternless is no mechanism: it declares no patterns"),
        (["own_peeking:function"], "is no mechanism"),
        ([], "name one mechanism to certify, or give --all"),
        (["softmax", "--all"], "name one mechanism to certify, or give --all"),
        (["--all", "--pattern", "causal"], "there is no pattern 'causal'"),
        (["--all", "--option", "rounds=2"], "--option belongs to one mechanism"),
        (["--all", "--write", "no_such_file.md"], "no_such_file.md cannot be read"),
        (["--all", "--write", "README.md", "--pattern", "causal_self"], "leave --pattern out"),
        (["softmax", "--write", "README.md", "--option", "rounds=2"], "leave --pattern and --option out"),
        (["sofmax", "--write", "README.md"], "there is no mechanism 'sofmax'"),
        (["own_peeking:Peeking", "--write", "README.md"], "that have a name in the library, got 'own_peeking:Peeking'"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["certify", *arguments]) == 2
    told = capsys.readouterr()
    assert not told.out
    assert len(told.err.splitlines()) == 1
    assert sentence in told.err


def test_options_reach_the_mechanism() -> None:
    outcomes = certify("softmax", ["causal_self"], options={"bias": False}, properties=["state dict"])
    assert outcomes[0].detail.startswith("4 entries")  # four weights and no bias
    with pytest.raises(ValueError, match="there is no property 'paddin'; there are shape and dtype, batch"):
        certify("softmax", properties=["paddin"])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_the_signs_gets_stand_ins(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    assert main(["certify", "efficient", "--pattern", "noncausal_self"]) == 0
    sys.stdout.flush()
    assert b"?" in raw.getvalue()  # the sign of what holds

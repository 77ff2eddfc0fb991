"""A result may follow a change of code only with a proof, and a proof that fails changes nothing."""

import subprocess
from pathlib import Path

import pytest

from regard_lab import restamp as module
from regard_lab.common.errors import UserError
from regard_lab.common.files import read_json, write_json
from regard_lab.experiment.results import read_result, result_path
from regard_lab.experiment.tables import current_fingerprint, load_table
from regard_lab.restamp import compare, is_timed, one_of_each_kind, restamp
from regard_lab.status import standing
from tests.editing import change as edit
from tests.regard_lab import toy

NAMED = ("toy", "lines", "laptop")


@pytest.fixture
def root(root: Path) -> Path:
    """The toy project with its result at laptop."""
    toy.reproduce(root, "laptop")
    return root


def change(root, old, new, file="run.py"):
    edit(root / "projects/toy" / file, old, new)
    toy.forget()


def prove(root, **options):
    return restamp(*NAMED, root, workers=1, **options)


def test_a_current_result_needs_no_proof(root):
    assert prove(root) is None
    assert standing(*NAMED, root).state == "current"


def test_code_that_gives_the_same_numbers_takes_the_result_over(root):
    path, calls = result_path(root, *NAMED), toy.calls(root)
    before = read_result(path)
    change(root, "config.slope * (1 + config.seed)", "config.slope * (config.seed + 1)")
    assert standing(*NAMED, root).why == ("code: projects.toy.run (run)",)
    proof = prove(root)
    after = read_result(path)
    assert after.fingerprint == current_fingerprint(*NAMED, root) != before.fingerprint
    assert toy.calls(root) == calls + 1  # two rows that differ in a number are of one kind
    assert (proof.old, proof.new, proof.cells) == (before.fingerprint, after.fingerprint, ["1.0-seed0"])
    assert (proof.compared, proof.left_out, proof.against) == (["height", "climb"], [], "the record")
    assert after.restamps == [proof]
    assert [row.metrics for row in after.rows] == [row.metrics for row in before.rows]
    assert standing(*NAMED, root).state == "current"
    summary = toy.reproduce(root, "laptop")
    assert summary["cells"]["reused"] == 8  # the records below runs/ have followed
    assert read_result(path).restamps == [proof]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("config.slope * (1 + config.seed)", "config.slope * (1.5 + config.seed)", r"height 1\.0 → 1\.5"),
        ("[height] * config.epochs", "[height + 1] * config.epochs", "climb another curve"),
        ('{"height": height}', '{"height": height, "depth": 1.0}', "depth is new"),
    ],
)
def test_code_that_gives_other_numbers_is_refused_and_the_result_stays(root, old, new, said):
    path = result_path(root, *NAMED)
    before = path.read_text()
    change(root, old, new)
    with pytest.raises(UserError, match=f"toy/lines at laptop keeps its old fingerprint: 1.0-seed0: .*{said}"):
        prove(root)
    assert path.read_text() == before
    assert standing(*NAMED, root).state == "stale"


def test_a_run_that_fails_is_no_proof(root):
    change(root, "height = ", "height = 1 / 0 + ")
    with pytest.raises(UserError, match=r"toy/lines, 1\.0-seed0: failed: ZeroDivisionError"):
        prove(root)


def test_rows_whose_configs_changed_otherwise_are_of_another_kind(root):
    table, result = load_table(*NAMED, root), read_result(result_path(root, *NAMED))
    assert one_of_each_kind(result, table) == []
    for record in result.records.values():
        record["identity"]["fingerprint"] = "of other code"
    assert [cell.id for cell in one_of_each_kind(result, table)] == ["1.0-seed0"]
    result.records["3.0-seed0"]["identity"]["config"]["epochs"] = 2
    assert [cell.id for cell in one_of_each_kind(result, table)] == ["1.0-seed0", "3.0-seed0"]


def test_a_changed_budget_has_to_give_the_same_curves(root):
    change(root, "epochs: 3", "epochs: 4", "experiments/points.yaml")
    assert standing(*NAMED, root).why == ("config: epochs 3 → 4",)
    with pytest.raises(UserError, match="climb another curve"):
        prove(root)


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("tables/lines.yaml", "[1.0, 3.0]", "[1.0, 4.0]", "its rows have changed"),
        ("tables/lines.yaml", "laptop: 4", "laptop: 5", "the result lacks 2 of 10 cells"),
        ("tables/lines.yaml", "laptop: 4", "laptop: 3", "the result has 2 cells that the table no longer has"),
        ("tables/lines.yaml", "height: {label", "depth: {label", "its metrics have changed: depth, height"),
    ],
)
def test_more_than_code_has_changed(root, file, old, new, said):
    change(root, old, new, file)
    change(root, "(1 + config.seed)", "(config.seed + 1)")
    with pytest.raises(UserError, match=f"toy/lines at laptop cannot be restamped, run it again: {said}"):
        prove(root)


def test_a_table_of_times_alone_cannot_be_proven(root):
    change(root, "height, unit: m}", "height, unit: ms}", "tables/lines.yaml")
    change(root, "climb: m", "climb: s", "tables/lines.yaml")
    toy.reproduce(root, "laptop")
    change(root, "(1 + config.seed)", "(config.seed + 1)")
    with pytest.raises(UserError, match=r"measures nothing but times and memory \(climb, height\): run it again"):
        prove(root)


def test_times_are_left_out(root):
    assert is_timed("latency_ms", "ms")
    assert is_timed("peak", "MiB")
    assert is_timed("time_ratio", "×")
    assert not is_timed("flop_ratio", "×")
    assert not is_timed("score_memory", "%")
    result = read_result(result_path(root, *NAMED))
    found = compare({"a": {"metrics": {"height": 1.0}}}, {"a": {"metrics": {"height": 1.0 + 2**-52}}}, result)
    assert found.differences == ["a: height 1.0 → 1.0000000000000002"]


def git(root, *arguments):
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)


def test_against_a_revision_both_codes_run_here(root, monkeypatch, request):
    """On another machine the record's bits are no measure: here its numbers were those of another processor."""
    for folder in ("libs", "projects/__init__.py"):  # the old code runs in a process of its own
        target = root / folder
        if not target.exists():
            target.symlink_to(request.config.rootpath / folder)
    (root / "pyproject.toml").write_text("")
    (root / ".gitignore").write_text("runs\nlibs\n")
    path = result_path(root, *NAMED)
    result = read_json(path)
    for record in result["records"].values():
        record["metrics"]["height"] += 2**-40
    write_json(path, result)
    git(root, "init", "-q")
    git(root, "add", ".")
    git(root, "commit", "-qm", "old")
    change(root, "(1 + config.seed)", "(config.seed + 1)")
    with pytest.raises(UserError, match="height"):
        prove(root)
    run = module.subprocess.run

    def with_the_library(command, **options):
        if "env" in options:
            options["env"]["PYTHONPATH"] += f":{request.config.rootpath / 'libs'}"
        return run(command, **options)

    monkeypatch.setattr(module.subprocess, "run", with_the_library)
    proof = prove(root, against="HEAD")
    assert proof.against == "HEAD"
    assert standing(*NAMED, root).state == "current"
    change(root, "(config.seed + 1)", "(config.seed + 1.0)")
    (root / "projects/toy/run.py").write_text((root / "projects/toy/run.py").read_text().replace("+ 1.0", "+ 2.0"))
    with pytest.raises(UserError, match="height"):
        prove(root, against="HEAD")
    with pytest.raises(UserError, match="there is no revision 'nowhere'"):
        prove(root, against="nowhere")

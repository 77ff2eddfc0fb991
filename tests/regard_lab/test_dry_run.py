"""Dry runs: every table of every project at paper scale says what it needs, and nothing is fetched or trained."""

import socket
from pathlib import Path

import pytest

from regard_lab import data, dry_run, hours, reproduce
from regard_lab.experiment.project import find_project, papers
from tests.paths import ROOT


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a dry run asks no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.parametrize("paper", papers(ROOT))
def test_every_table_runs_dry_at_paper_scale(paper: str) -> None:
    project = find_project(paper, ROOT)
    for table in project.tables(ROOT):
        found = dry_run.dry_run(paper, table, "paper", ROOT)
        assert found.rows
        assert all(row.cells >= 1 and row.gpu_hours >= 0 for row in found.rows)
        counted = any(row.gpu_hours > 0 for row in found.rows)
        assert counted == (hours.why_not(project, table) is None), f"{table} is neither counted nor said why"
        text = dry_run.show(found)
        assert len(text.splitlines()) >= len(found.rows) + 3
        assert str(ROOT) not in text  # no path of the machine


def test_what_is_missing_is_said_with_its_remedy(tmp_path: Path) -> None:
    for folder in ("libs", "projects"):
        (tmp_path / folder).symlink_to(ROOT / folder)
    found = dry_run.dry_run("better_attention", "imagenet", "paper", tmp_path)
    assert found.data["imagenet_1k"] == (
        "not prepared (ILSVRC/imagenet-1k): python -m regard_lab.data fetch imagenet_1k --source hub"
    )
    assert any(what.startswith("data set imagenet_1k: not prepared") for what in found.missing)
    (tmp_path / "data" / "imagenet_1k-hub").mkdir(parents=True)
    (tmp_path / "data" / "imagenet_1k-hub" / data.MANIFEST).write_text("{}")
    again = dry_run.dry_run("better_attention", "imagenet", "paper", tmp_path)
    assert again.data["imagenet_1k"] == "there, from hub"


def test_weights_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"text.encoder.checkpoint": "bert-base-uncased", "gan.evaluation.released": True, "gan.checkpoint": None}
    assert dry_run.weights_of(values | {"gan.evaluation.judge": "inception"}) == [
        "bert-base-uncased",
        dry_run.RELEASED,
        dry_run.INCEPTION,
    ]
    assert dry_run.weights_of({"gan.evaluation.released": True, "gan.checkpoint": "a.pth"}) == ["a.pth"]
    assert dry_run.weights_of({"model.checkpoint": "none"}) == []
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda name, file: None)
    assert (
        dry_run.state_of_weights("bert-base-uncased", ROOT) == "not in the hub's cache: hf download bert-base-uncased"
    )
    assert dry_run.state_of_weights("minilm", ROOT).startswith("there")


def test_the_command_returns_1_where_something_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    row = dry_run.DryRow({"a": 1}, 2, 8, 3.0, 1.5)
    for missing, code in (((), 0), (("devices: a cell wants 8, this machine has 0 GPUs",), 1)):
        monkeypatch.setattr(
            dry_run, "dry_run", lambda *_, missing=missing: dry_run.DryRun("p/t", "paper", [row], {}, {}, "", missing)
        )
        assert reproduce.dry([("p", "t")], "paper", ROOT) == code
        assert (missing or ("nothing is missing",))[0] in capsys.readouterr().out


def test_more_devices_than_there_are_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hours, "works_of", lambda *_: [])
    monkeypatch.setattr(dry_run, "accelerators", lambda: 2)
    assert (
        "devices: a cell wants 4, this machine has 2 GPUs"
        in dry_run.dry_run("better_attention", "imagenet", "paper", ROOT).missing
    )
    monkeypatch.setattr(dry_run, "accelerators", lambda: 4)
    assert not any(
        what.startswith("devices") for what in dry_run.dry_run("better_attention", "imagenet", "paper", ROOT).missing
    )

"""What the pipelines' stages depend on: written where it changed, and left alone where nothing did."""

import json

from regard_lab.experiment.results import read_result, result_path
from regard_lab.experiment.tables import current_fingerprint
from regard_lab.write_fingerprints import keep_up, known_fingerprint, write_fingerprints
from tests.editing import change
from tests.regard_lab import toy


def test_fingerprints_change_only_with_their_table(root, monkeypatch):
    monkeypatch.setattr("regard_lab.write_fingerprints.report_fingerprint", lambda root: "report")
    paths = write_fingerprints(root)
    mine = next(path for path in paths if path.name == "lines-quick.json")
    before, touched = mine.read_text(), mine.stat().st_mtime_ns
    change(root / "projects/toy/run.py", "# A comment.", "")
    (root / "runs/fingerprints/toy/gone-quick.json").write_text("{}")
    assert write_fingerprints(root) == paths
    assert (mine.read_text(), mine.stat().st_mtime_ns) == (before, touched)
    assert not (root / "runs/fingerprints/toy/gone-quick.json").exists()
    change(root / "projects/toy/run.py", "1 + config.seed", "3 + config.seed")
    write_fingerprints(root)
    assert json.loads(mine.read_text())["table"] != json.loads(before)["table"]


def test_nothing_is_composed_while_no_source_has_changed(root, monkeypatch):
    monkeypatch.setattr("regard_lab.write_fingerprints.report_fingerprint", lambda root: "report")
    assert keep_up(root) == "2 written"
    assert keep_up(root) == "no source has changed"
    change(root / "projects/toy/run.py", "# A comment.", "")
    assert keep_up(root) == "2 written"
    toy.reproduce(root, "laptop")
    assert keep_up(root) == "2 written"  # a result more is one more that may be stale
    for scale in ("quick", "laptop", "paper"):
        known = [known_fingerprint("toy", "lines", scale, root, written=written) for written in (True, False)]
        assert known == [current_fingerprint("toy", "lines", scale, root)] * 2
    assert known_fingerprint("toy", "gone", "quick", root, written=True) is None
    (root / "runs/fingerprints/toy/lines-quick.json").unlink()
    assert keep_up(root) == "2 written"
    assert keep_up(root) == "no source has changed"


def test_a_result_of_old_code_is_seen_to_be_stale(root, monkeypatch):
    monkeypatch.setattr("regard_lab.write_fingerprints.report_fingerprint", lambda root: "report")
    toy.reproduce(root)
    toy.reproduce(root, "laptop")
    report = root / "runs/fingerprints/report.json"
    write_fingerprints(root)
    made = read_result(result_path(root, "toy", "lines", "laptop")).fingerprint
    # quick is kept up by its own stage: the report must not run once more because a stage before it has made a first result
    assert json.loads(report.read_text())["results"] == {"results/laptop/toy/lines.json": made}
    change(root / "projects/toy/run.py", "1 + config.seed", "3 + config.seed")
    write_fingerprints(root)
    assert json.loads(report.read_text())["results"] != {"results/laptop/toy/lines.json": made}

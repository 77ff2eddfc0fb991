"""The small files that `dvc metrics` and `dvc plots` read."""

import json
from pathlib import Path

from regard_lab.report.site import render
from tests.regard_lab.report.sample_site import current


def test_dvc_reads_small_files(root: Path) -> None:
    """`dvc metrics show` and `dvc plots show`: verdicts and what has been run, and one metric of each table at the best scale."""
    files = render(root, current)
    said = json.loads(files["metrics.json"])["sample"]
    assert said["claims"] == {"holds": 1, "fails": 0, "undecided": 0, "gated": 0, "not run": 1}
    assert (said["tables"], said["stale"]) == ({"paper": 0, "laptop": 1, "quick": 0, "none": 1}, 0)
    assert files["plots/sample-scores.csv"].decode().splitlines() == [
        "row,value,metric,scale",
        "old,70.5,accuracy,laptop",
        "new,73.6,accuracy,laptop",
    ]
    assert "plots/sample-later.csv" not in files

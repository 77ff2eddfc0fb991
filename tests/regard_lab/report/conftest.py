from pathlib import Path

import pytest

from regard_lab.experiment.results import result_path, write_result
from tests.regard_lab.report.sample_site import FIGURES, LAPTOP, PAPER, QUICK, TABLES


@pytest.fixture
def root(tmp_path: Path) -> Path:
    project = tmp_path / "projects" / "sample"
    (project / "tables").mkdir(parents=True)
    (project / "paper.yaml").write_text(PAPER)
    for name, text in TABLES.items():
        (project / "tables" / f"{name}.yaml").write_text(text)
    (project / "figures.py").write_text(FIGURES)
    for one in (LAPTOP, QUICK):
        write_result(result_path(tmp_path, one.paper, one.table, one.scale), one)
    return tmp_path

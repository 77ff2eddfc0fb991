from pathlib import Path

import pytest

from regard_lab.results import result_path, write_result
from tests.regard_lab.report.sample_site import CLAIMS, FIGURES, LAPTOP, PAPER, QUICK


@pytest.fixture
def root(tmp_path: Path) -> Path:
    project = tmp_path / "projects" / "sample"
    project.mkdir(parents=True)
    (project / "paper.yaml").write_text(PAPER)
    (project / "claims.yaml").write_text(CLAIMS)
    (project / "figures.py").write_text(FIGURES)
    for one in (LAPTOP, QUICK):
        write_result(result_path(tmp_path, one.paper, one.table, one.scale), one)
    return tmp_path

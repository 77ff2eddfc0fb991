"""How the lab finds a project and what it names."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.experiment.project import find_project, load, papers


def test_a_project_is_found_by_its_papers_name(root: Path) -> None:
    project = find_project("toy", root)
    assert project.name == "toy"
    assert project.folder(root) == root / "projects" / "toy"
    assert project.tables(root) == ["lines"]


def test_a_folder_without_a_project_is_no_paper(root: Path) -> None:
    (root / "projects" / "notes").mkdir()
    (root / "projects" / "notes" / "paper.yaml").write_text("title: Notes")
    assert papers(root) == ["toy"]


def test_an_unknown_project_is_one_sentence(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no project 'tay'\. Did you mean 'toy'\? There are: toy"):
        find_project("tay", root)
    with pytest.raises(UserError, match=r"there are no projects in .*; run this at the root of the repository"):
        find_project("toy", tmp_path.parent / "elsewhere")


def test_below_the_root_it_is_said_where_the_root_is(root: Path) -> None:
    with pytest.raises(UserError, match=f"the repository is above: cd {root}"):
        find_project("toy", root / "projects" / "toy")


def test_a_reference_is_an_object(root: Path) -> None:
    assert load("projects.toy.run:run").__name__ == "run"

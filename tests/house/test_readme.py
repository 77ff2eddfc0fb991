"""The README's words are commands that exist, and its matrix is that of the registry."""

import itertools
import re
import shlex

import pytest
import yaml

import regard
from regard_lab.evidence.paper import load_paper
from regard_lab.experiment.composition import compose
from regard_lab.experiment.project import find_project, papers
from regard_lab.experiment.tables import load_table
from tests.paths import ROOT

TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "projects").glob("*/README.md"))]


def commands(start: str) -> list[str]:
    """Every command in the texts that begins so, without its comment; those with a placeholder are left out."""
    found = [
        line for text in TEXTS for line in re.findall(rf"{re.escape(start)}[^`\n]*", text.read_text(encoding="utf-8"))
    ]
    return sorted({command.split("#")[0].strip() for command in found if "<" not in command})


def test_the_matrix_is_what_the_mechanisms_declare():
    """`make test` certifies every one of these; here only the printed matrix is compared with the declarations."""
    matrix = (
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .split("<!-- certified: begin -->")[1]
        .split("<!-- certified: end -->")[0]
    )
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in matrix.strip().splitlines()]
    patterns = lines[0][1:]
    printed = {name: {p for p, mark in zip(patterns, marks, strict=True) if mark == "✓"} for name, *marks in lines[2:]}
    from regard.registry import mechanism_class

    shipped = [
        name for name in regard.list_mechanisms() if mechanism_class(name).__module__.startswith("regard.mechanisms.")
    ]
    assert printed == {name: set(mechanism_class(name).patterns) for name in shipped}


@pytest.mark.parametrize("command", commands("python -m projects."))
def test_training_commands_compose(command):
    words = shlex.split(command)
    paper = words[2].split(".")[1]
    if words[2].endswith(".train") and "--help" not in words:  # the other commands have arguments of their own
        own = [word for word in words[3:] if word not in ("-m", "--cfg", "job")]
        swept = [
            [f"{key}={value}" for value in values.split(",")] for key, _, values in (w.partition("=") for w in own)
        ]
        for overrides in itertools.product(*swept):
            compose(find_project(paper, ROOT), ROOT, list(overrides))
    place = ROOT.joinpath(*words[2].split("."))
    assert place.with_suffix(".py").exists() or (place / "__main__.py").exists()  # a module, or a folder that runs


@pytest.mark.parametrize("command", commands("make reproduce TABLE="))
def test_tables_of_the_readme_exist(command):
    words = dict(word.split("=") for word in command.split()[2:])
    paper, table = words["TABLE"].split("/")
    assert load_table(paper, table, words.get("SCALE", "quick"), ROOT).cells


def test_every_make_target_of_the_texts_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in {
        command.split()[1].strip(".,;") for command in commands("make ") if re.match(r"make [a-z]+", command)
    } & {
        "reproduce",
        "test",
        "setup",
        "lint",
        "report",
    }:
        assert f"\n{target}:" in makefile


def test_links_of_the_texts_resolve():
    for text in TEXTS:
        for target in re.findall(r"\]\(([^)#]+)", text.read_text(encoding="utf-8")):
            assert target.startswith("http") or (text.parent / target).exists(), f"{text.name}: {target}"


@pytest.mark.parametrize("paper", papers(ROOT))
def test_every_table_has_its_stage(paper):
    """A table that no stage runs would be seen by nobody. The stages' tables are the list in paper.yaml, which `load_paper` holds to the folder."""
    pipeline = yaml.safe_load((ROOT / "pipelines" / paper / "dvc.yaml").read_text())
    assert f"../../projects/{paper}/paper.yaml:tables" in pipeline["vars"]
    ((stage_name, stage),) = pipeline["stages"].items()
    assert stage_name == "table"  # `regard_lab.reproduce.outdated` asks DVC for table@<table>-<scale>
    assert stage["matrix"] == {"table": "${tables}", "scale": "${scales}"}
    assert stage["cmd"].split()[3] == f"{paper}/${{item.table}}"
    assert list(load_paper(ROOT / "projects" / paper).tables)[: len(find_project(paper, ROOT).tables(ROOT))] == (
        find_project(paper, ROOT).tables(ROOT)
    )

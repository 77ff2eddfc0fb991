"""The README's words are commands that exist, and its matrix is that of the registry."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

import regard
from regard_lab.composition import compose
from regard_lab.project import find_project
from regard_lab.tables import load_table

ROOT = Path(__file__).resolve().parents[2]
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
        name for name in regard.mechanisms() if mechanism_class(name).__module__.startswith("regard.mechanisms.")
    ]
    assert printed == {name: set(mechanism_class(name).patterns) for name in shipped}


@pytest.mark.parametrize("command", commands("python -m projects."))
def test_training_commands_compose(command):
    words = shlex.split(command)
    paper = words[2].split(".")[1]
    if words[2].endswith(".train") and "--help" not in words:  # the other commands have arguments of their own
        compose(find_project(paper, ROOT).conf(ROOT), words[3:])
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


def test_every_table_has_its_stage_and_its_published_page():
    """A table that no stage runs, or that `paper.yaml` does not declare, would be seen by nobody."""
    for path in sorted((ROOT / "projects").glob("*/conf/table/*.yaml")):
        paper = path.parents[2].name
        stages = yaml.safe_load((ROOT / "pipelines" / paper / "dvc.yaml").read_text())["stages"]
        published = yaml.safe_load((ROOT / "projects" / paper / "paper.yaml").read_text())["tables"]
        assert path.stem in published, path
        (stage,) = (stage for stage in stages.values() if f"{paper}/{path.stem}" in stage["cmd"].split())
        assert f"runs/fingerprints/{paper}/{path.stem}-${{item.scale}}.json" in stage["deps"]
        assert f"results/${{item.scale}}/{paper}/{path.stem}.json" in {name for out in stage["outs"] for name in out}
        scales = ("quick", "paper")  # a stand-in may have other tasks, and columns, than the paper's own data
        specs = [compose(path.parents[1], [f"table={path.stem}", f"scale={scale}"]).table for scale in scales]
        declared = {name: unit for spec in specs for name, unit in spec.metrics.items()}
        columns = published[path.stem]["columns"]
        assert set(columns) <= set(declared)
        assert all(columns[name]["unit"] == declared[name] for name in columns)


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").glob("*/dvc.yaml")), ids=lambda path: path.parent.name)
def test_a_pipeline_has_at_most_a_dozen_stages(path):
    assert len(yaml.safe_load(path.read_text())["stages"]) <= 12

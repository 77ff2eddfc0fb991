"""Experiments: a run is one file; later layers win value by value, and a circle or a wrong name is one sentence."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.common.strict_yaml import Node
from regard_lab.experiment.experiment_file import by_scale, check_scale, key_paths, lay_over, read_experiment, set_value

WHOLE = """
run: projects.toy.run:run
data_sets: {quick: {small: Large}, laptop: {small: Large}, paper: {large: null}}
data: {name: large, length: 8}
model: {hidden: [4, 2], rate: 1.0e-3}
scales:
  quick: {data: {name: small}, model: {hidden: [2]}}
"""


def write(project: Path, **files: str) -> Path:
    (project / "experiments").mkdir(exist_ok=True)
    for name, text in files.items():
        (project / "experiments" / f"{name}.yaml").write_text(text)
    return project


def test_a_scale_changes_values_and_replaces_lists(tmp_path: Path) -> None:
    project = write(tmp_path, whole=WHOLE)
    quick, paper = (read_experiment(project, "whole", scale) for scale in ("quick", "paper"))
    assert quick.values == {"data": {"name": "small", "length": 8}, "model": {"hidden": [2], "rate": 0.001}}
    assert paper.values == {"data": {"name": "large", "length": 8}, "model": {"hidden": [4, 2], "rate": 0.001}}
    assert (quick.data_sets, paper.data_sets) == ({"small": "Large"}, {"large": None})


def test_a_base_is_laid_below_with_its_scales(tmp_path: Path) -> None:
    """What the file says for every scale wins over what its base says for one; its own scales come last."""
    mine = "base: whole\ndata: {name: mine}\nscales: {paper: {data: {length: 9}}}"
    project = write(tmp_path, whole=WHOLE, mine=mine)
    quick, paper = (read_experiment(project, "mine", scale) for scale in ("quick", "paper"))
    assert quick.values == {"data": {"name": "mine", "length": 8}, "model": {"hidden": [2], "rate": 0.001}}
    assert paper.values["data"] == {"name": "mine", "length": 9}
    assert (quick.run, quick.data_sets) == ("projects.toy.run:run", {"small": "Large"})


def test_several_bases_are_laid_in_their_order(tmp_path: Path) -> None:
    one = "data: {name: one}\ndata_sets: {one: null}"
    two = "data: {length: 2}\ndata_sets: {two: null}\nrun: a:b"
    both = read_experiment(write(tmp_path, one=one, two=two, both="base: [one, two]"), "both", "quick")
    assert both.values == {"data": {"name": "one", "length": 2}}
    assert (both.run, both.data_sets) == ("a:b", {"one": None, "two": None})


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("wole", "", r"there is no experiment 'wole'. Did you mean 'whole'\? There are: mine, whole"),
        ("mine", "base: mine", r"mine\.yaml: base: mine -> mine is circular"),
        ("mine", "base: whol", r"there is no experiment 'whol'"),
        ("mine", "scales: {huge: {}}", r"mine\.yaml: scales: unknown key 'huge'"),
        ("mine", "data_sets: {quick: {}}", r"mine\.yaml: data_sets: key 'laptop' is missing"),
        ("mine", "data: 1\ndata: 2", r"mine\.yaml: line 2: 'data' occurs twice"),
    ],
)
def test_what_is_wrong_is_one_sentence(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_experiment(write(tmp_path, whole=WHOLE, mine=text or "run: a:b"), name, "quick")


def test_layers_do_not_change_each_other() -> None:
    below = {"a": {"b": 1}, "c": [1]}
    assert lay_over(below, {"a": {"d": 2}, "c": None}) == {"a": {"b": 1, "d": 2}, "c": None}
    assert set_value(below, "a.b", 5) == {"a": {"b": 5}, "c": [1]}
    assert below == {"a": {"b": 1}, "c": [1]}
    assert key_paths(below) == ["a", "a.b", "c"]


@pytest.mark.parametrize("path", ["a.bb", "aa.b", "a.b.c"])
def test_a_value_that_is_not_there_cannot_be_set(path: str) -> None:
    with pytest.raises(UserError, match=rf"unknown config key '{path}'. Did you mean 'a\.b'"):
        set_value({"a": {"b": 1}}, path, 2)


def test_a_value_by_scale_needs_all_three() -> None:
    assert by_scale(Node(Path("x"), "seeds", 3), Node.whole) == {"quick": 3, "laptop": 3, "paper": 3}
    with pytest.raises(UserError, match="key 'paper' is missing"):
        by_scale(Node(Path("x"), "seeds", {"quick": 1, "laptop": 3}), Node.whole)
    with pytest.raises(UserError, match="Did you mean 'laptop'"):
        check_scale("labtop")

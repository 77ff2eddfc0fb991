"""Configs: what a command line composes is what a table runs, and every slip is one sentence with the nearest right word."""

from pathlib import Path

import pytest

from projects.better_attention.config import PROJECT, Config
from regard_lab.common.errors import UserError
from regard_lab.experiment.composition import compose
from regard_lab.experiment.config import typed
from regard_lab.experiment.project import find_project
from regard_lab.experiment.table_file import read_table
from regard_lab.experiment.tables import compose_rows
from tests.regard_lab import toy

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path, monkeypatch):
    return toy.write_toy(tmp_path, monkeypatch)


def composed(root: Path, *words: str):
    return compose(find_project("toy", root), root, list(words))


def test_a_table_and_a_scale_make_a_config(root):
    found = composed(root, "table=lines", "scale=laptop")
    assert found.config == {
        "data": {"name": "points", "source": "package"},
        "seed": 0,
        "slope": 2.0,
        "fail": False,
        "epochs": 3,
        "scale": "laptop",
    }
    assert (found.spec.seeds, found.spec.rows) == (4, [{"slope": 1.0}, {"slope": 3.0}])
    assert (found.table, found.experiment) == ("lines", "points")


def test_an_experiment_alone_says_what_it_runs(root):
    found = composed(root, "experiment=points", "slope=5", "seed=2")
    assert (found.config["slope"], found.config["seed"], found.config["epochs"]) == (5, 2, 1)
    assert (found.spec.run, found.table) == ("projects.toy.run:run", None)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("table=lines slop=1", r"unknown config key 'slop'.*Did you mean 'slope'"),
        ("table=lines data.nam=x", r"unknown config key 'data.nam'.*Did you mean 'data.name'"),
        ("table=lines scale=huge", r"there is no scale 'huge'. There are: laptop, paper, quick"),
        ("experiment=point", r"there is no experiment 'point'. Did you mean 'points'"),
        ("table=line", r"there is no table 'line'. Did you mean 'lines'"),
        ("table=lines experiment=other", r"table lines does not compose experiment 'other' at quick; .*: points"),
        ("scale=laptop", r"say what to run: experiment=NAME or table=NAME. Experiments: other, points"),
        ("table=lines slope", r"slope"),
        ("table=lines slope=[", r"config: "),
    ],
)
def test_a_wrong_word_is_one_sentence(root, words, message):
    (root / "projects/toy/experiments/other.yaml").write_text("base: points")
    with pytest.raises(UserError, match=message) as caught:
        composed(root, *words.split())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "x"}, "seed must be a valid integer, got 'x'"),
        ({"nonsense": 1}, "nonsense"),
        ({"model": {"width": 1.5}}, r"model\.width"),
    ],
)
def test_the_typed_door_names_the_key(change, message):
    values = compose(PROJECT, ROOT, ["experiment=imdb"]).config
    assert typed(Config, values).model.width == 32
    nested = {**values["model"], **change["model"]} if "model" in change else values["model"]
    with pytest.raises(UserError, match=message):
        typed(Config, values | change | {"model": nested})


def test_a_missing_key_is_an_error():
    values = compose(PROJECT, ROOT, ["experiment=imdb"]).config
    del values["training"]["batch_size"]
    with pytest.raises(UserError, match=r"training\.batch_size"):
        typed(Config, values)


@pytest.mark.parametrize("scale", ["quick", "paper"])
@pytest.mark.parametrize(
    ("paper", "table"),
    [("better_attention", "ablation_width"), ("explaining", "faithfulness"), ("smyrf", "speed"), ("cab", "benefit")],
)
def test_a_row_is_what_hydra_composes_of_its_own_values(paper: str, table: str, scale: str) -> None:
    """Tables are composed without Hydra: one sets a width that another value copies, one chooses experiments, one stands for several values."""
    project = find_project(paper, ROOT)
    file = read_table(project.folder(ROOT), table)
    sets = file.to_run().sets
    rows = list(compose_rows(project, ROOT, file, scale))
    for key, row in (rows[0], rows[len(rows) // 2], rows[-1]):
        words = [f"table={table}", f"scale={scale}", f"experiment={row.experiment}"]
        for part, value in key.items():
            target = sets[part]
            if isinstance(target, str):
                words += [f"{target}={value}"] * (target != "experiment")
            else:
                words += [f"{section}.{name}={v}" for section, new in target[value].items() for name, v in new.items()]
        assert compose(project, ROOT, words) == row


def test_a_row_that_sets_what_is_not_there_is_told_so(root) -> None:
    path = root / "projects/toy/tables/lines.yaml"
    path.write_text(path.read_text().replace("{slope: slope}", "{slope: data.slop}"))
    project = find_project("toy", root)
    with pytest.raises(UserError, match=r"toy/lines, row slope 1: unknown config key 'data\.slop'"):
        list(compose_rows(project, root, read_table(project.folder(root), "lines"), "quick"))

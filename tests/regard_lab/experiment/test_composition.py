"""What a command line composes is what a table runs, and every slip is one sentence with the nearest right word."""

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.experiment.composition import compose
from regard_lab.experiment.project import find_project
from tests.regard_lab import toy


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


def test_a_key_with_a_default_can_be_set_and_is_no_part_of_a_cell_otherwise(root):
    path = root / "projects/toy/config.py"
    path.write_text(
        path.read_text()
        .replace("    seed: int\n", "    seed: int\n    sign: int = 1\n", 1)
        .replace("    scale: str\n", "    scale: str = 'quick'\n", 1)
    )
    toy.forget()
    plain, same, other = (composed(root, "table=lines", *words).config for words in ([], ["sign=1"], ["sign=-1"]))
    assert plain == same
    assert other == {**plain, "sign": -1}


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

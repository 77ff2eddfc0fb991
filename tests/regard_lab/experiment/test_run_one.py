"""The command that trains one cell, as Hydra's users know it: overrides, sweeps, `--cfg job`, `--help`; and every slip is one sentence."""

import pytest

from regard_lab.common.errors import UserError
from regard_lab.experiment.project import find_project
from regard_lab.experiment.run_one import train
from tests.editing import change
from tests.regard_lab import toy


def said(root, capsys, *words: str) -> str:
    assert train(find_project("toy", root), list(words), root) == 0
    return capsys.readouterr().out


def test_a_rows_own_values_are_the_tables_cell(root, capsys):
    assert "3.0-seed1 (quick, run)" in said(root, capsys, "table=lines", "slope=3.0", "seed=1")
    assert "height                       6" in said(root, capsys, "table=lines", "slope=3.0", "seed=1")
    summary = toy.reproduce(root)
    assert summary["cells"] == {"run": 3, "reused": 1, "failed": 0, "not run": 0}


def test_an_experiment_alone_is_a_cell_beside_the_tables(root, capsys):
    out = said(root, capsys, "experiment=points", "slope=5")
    assert "height                       5" in out
    assert "runs/quick/toy/single/points-seed0-" in out


def test_a_project_need_not_read_data(root, capsys):
    change(root / "projects/toy/experiments/points.yaml", "data: {name: points, source: package}\n", "")
    change(root / "projects/toy/config.py", "    data: Data\n", "")
    assert "runs/quick/toy/single/points-seed0-" in said(root, capsys, "experiment=points")
    assert toy.reproduce(root)["cells"] == {"run": 4, "reused": 0, "failed": 0, "not run": 0}
    change(root / "projects/toy/experiments/points.yaml", "data_sets: {}", "data_sets: {imdb: null}")
    with pytest.raises(UserError, match=r"needs a config with data\.source"):
        train(find_project("toy", root), ["experiment=points"], root)


def test_a_sweep_trains_each(root, capsys):
    out = said(root, capsys, "-m", "table=lines", "slope=1.0,3.0", "seed=0,1", "scale=laptop,quick")
    assert toy.calls(root) == 8
    assert out.count("(laptop, run)") == out.count("(quick, run)") == 4
    assert (root / "runs/multirun/multirun.yaml").exists()
    assert not list(root.glob("outputs")) + list(root.glob(".hydra"))


def test_the_config_and_the_help_run_nothing(root, capsys):
    config = said(root, capsys, "experiment=points", "slope=5", "--cfg", "job")
    assert "slope: 5" in config
    assert "scale: quick" in config
    assert "experiments: points" in said(root, capsys, "--help")
    assert toy.calls(root) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("table=lines slop=1", "unknown config key 'slop'.*Did you mean 'slope'"),
        ("table=lines slope=0", "slope must not be 0, got 0"),
        ("-m table=lines slope=0,1", "slope must not be 0, got 0"),
        ("table=lines fail=true", "failed: ArithmeticError: no height"),
        (
            "table=lines hydra.run.dir=x",
            "hydra.run.dir is not used: a cell keeps its record, config and checkpoints in runs/",
        ),
        ("-m table=lines hydra/launcher=nobody", "there is no hydra/launcher 'nobody'.*basic.*hydra-nobody-launcher"),
        ("", "say what to run: experiment=NAME or table=NAME. Experiments: points"),
    ],
)
def test_a_slip_is_one_sentence(root, words, message):
    with pytest.raises(UserError, match=message):
        train(find_project("toy", root), words.split(), root)


def test_weights_are_kept_where_something_is_trained(root, capsys):
    with pytest.raises(UserError, match=r"keep must be one of best, last, none, got 'bst'\. Did you mean 'best'"):
        said(root, capsys, "table=lines", "keep=bst")
    assert "weights:" not in said(root, capsys, "table=lines")  # the toy trains nothing
    with pytest.raises(UserError, match="has left no weights: it trains nothing"):
        said(root, capsys, "table=lines", "keep=last")
    assert "reused" in said(root, capsys, "table=lines", "keep=none")
    assert str(root) not in said(root, capsys, "table=lines")

"""The commands of kept runs, on a toy that trains one layer."""

import pytest
import torch

import regard_lab
from regard_lab.common.errors import UserError
from regard_lab.common.files import read_json, write_json
from regard_lab.experiment.kept_runs import KEPT, evaluate, evaluate_words
from regard_lab.experiment.project import find_project
from regard_lab.experiment.run_one import train
from tests.regard_lab import toy

RUN = """
import torch
from torch import nn
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.recipe import Training
from regard_lab.training.trainer import Task, evaluate, fit, load_weights, loader

def score(model, batch):
    return {"loss": (model(batch[0]) - batch[1]).square().mean()}

def run(config, folder):
    x = torch.linspace(-1, 1, 40)[:, None]
    parts = loader((x, config.slope * x), 8)
    torch.manual_seed(config.seed)
    task = Task(nn.Linear(1, 1), score, Training("adam", 0.1, 8, 2))
    fit(task, loader((x, 2 * x), 8, seed=0), parts, seed=0, folder=folder, best="validation_loss", mode="min")
    last = evaluate(task, parts)["loss"]
    load_weights(task, folder, "best")
    return RunResult({"height": evaluate(task, parts)["loss"], "last_epoch_height": last, "time_s": 1.0})
"""


@pytest.fixture
def kept(root, capsys):
    """The folder of a run that has left its weights."""
    (root / "projects/toy/run.py").write_text(RUN)
    toy.forget()
    assert train(find_project("toy", root), ["experiment=points", "slope=2.0"], root) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "weights:" in line)
    assert line.split()[1:4] == ["python", "-m", "projects.toy.evaluate"]
    return root / line.split()[-1]


def test_a_kept_run_is_measured_again_with_other_values_and_loaded(root, kept, capsys):
    project, said = find_project("toy", root), read_json(kept / KEPT)["metrics"]
    assert (kept / "tensorboard").exists()
    assert not (kept / "checkpoints").exists()
    assert evaluate(kept, {}, root) == said
    assert evaluate_words(project, [str(kept)], root) == 0
    assert capsys.readouterr().out.count("equal") == 3
    assert evaluate(kept, {"slope": 5.0}, root)["height"] > 10 * said["height"]
    assert evaluate_words(project, [str(kept), "slope=5.0"], root) == 0
    model = regard_lab.load(kept)
    x = torch.linspace(-1, 1, 40)[:, None]
    assert float((model(x) - 2 * x).square().mean()) == pytest.approx(said["height"], rel=1e-5)
    assert not model.training
    with pytest.raises(UserError, match="trains no model 'other'"):
        regard_lab.load(kept, "other")
    write_json(kept / KEPT, read_json(kept / KEPT) | {"metrics": said | {"height": 0.5}})
    assert evaluate_words(project, [str(kept)], root) == 1
    assert "not what training measured: height" in capsys.readouterr().err


def test_a_run_that_is_asked_for_its_weights_is_trained_again_without_them(root, kept, capsys):
    words = ["experiment=points", "slope=2.0"]
    assert train(find_project("toy", root), words, root) == 0
    assert "reused" in capsys.readouterr().out
    (kept / KEPT).unlink()
    assert train(find_project("toy", root), [*words, "keep=last"], root) == 0
    assert "(quick, run)" in capsys.readouterr().out
    assert sorted(evaluate(kept, {}, root)) == [
        "height",
        "time_s",
    ]  # of the last epoch's weights, which are all there are


def test_a_slip_is_one_sentence(root, kept):
    project = find_project("toy", root)
    for words, message in {
        (str(root / "nowhere"),): "there is no run folder",
        (str(root),): "holds no weights: train with keep=best",
        (str(kept), "slope"): "come words such as data=NAME",
        (str(kept), "data=imbd"): r"there is no data set 'imbd'\. Did you mean 'imdb'",
        (str(kept), "slop=3"): "unknown key 'slop'",
    }.items():
        with pytest.raises(UserError, match=message):
            evaluate_words(project, list(words), root)
    write_json(kept / KEPT, read_json(kept / KEPT) | {"paper": "other"})
    with pytest.raises(UserError, match=r"is a run of other: python -m projects\.other\.evaluate"):
        evaluate_words(project, [str(kept)], root)

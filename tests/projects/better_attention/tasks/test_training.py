"""The training path: two epochs are kept, runs repeat and resume to the bit, and the time of a pass is the least."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from projects.better_attention.config import PROJECT
from projects.better_attention.tasks import training
from projects.better_attention.tasks.training import latency_ms, train_model
from regard_lab.experiment.experiment_file import experiment_names, read_experiment
from tests.configs import ROOT, configs_of

config_of = configs_of(PROJECT, default="experiment=imdb")


def score(model, batch):
    x, y = batch
    return {"loss": F.mse_loss(model(x), y)}


def trained_line(folder, *overrides, seed=0):
    """One weight that learns y = 2 x; validated on y = x, so that it is best on the way and not at the end."""
    x = torch.linspace(-1, 1, 32)[:, None]
    config = config_of("training.learning_rate=0.1", "training.batch_size=8", f"seed={seed}", *overrides)
    return train_model(
        config,
        folder,
        lambda: nn.Linear(1, 1),
        score,
        train=(x, 2 * x),
        validation=(x, x),
        batch_size=16,
    )


def test_the_best_and_the_last_epoch_are_kept(tmp_path):
    trained = trained_line(tmp_path, "training.epochs=12")
    validation = trained.curves("validation_loss")["validation_loss"]
    assert len(validation) == 12
    assert min(validation) < validation[-1]
    x = torch.linspace(-1, 1, 32)[:, None]
    assert trained.scores((x, x))["loss"] == pytest.approx(min(validation))  # the best, until told otherwise
    trained.use("last")
    assert trained.scores((x, x))["loss"] == pytest.approx(validation[-1])
    trained.use("best")
    assert trained.scores((x, x))["loss"] == pytest.approx(min(validation))


def test_a_model_is_drawn_from_its_seed_and_a_run_repeats_itself(tmp_path):
    first, again, other = (
        trained_line(tmp_path / name, "training.epochs=2", seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert torch.equal(first.model.weight, again.model.weight)
    assert not torch.equal(first.model.weight, other.model.weight)


def test_an_interrupted_run_is_resumed_to_the_bit(tmp_path):
    trained_line(tmp_path / "a", "training.epochs=2")
    resumed, straight = (trained_line(tmp_path / name, "training.epochs=4") for name in ("a", "b"))
    assert len(resumed.history.epochs) == 4
    for which in ("best", "last"):
        assert all(
            torch.equal(resumed.weights[which][name], straight.weights[which][name]) for name in straight.weights[which]
        )


def test_the_recipe_is_the_configs(tmp_path):
    """One step of Adam from a gradient much smaller than epsilon moves by rate · g / epsilon."""
    x = torch.ones(1, 1)
    config = config_of("training.epochs=1", "training.epsilon=1000.0", "training.learning_rate=1.0")
    trained = train_model(
        config,
        tmp_path,
        lambda: nn.Linear(1, 1, bias=False),
        lambda model, batch: {"loss": model(batch[0]).sum()},
        train=(x, x),
        validation=(x, x),
        batch_size=1,
    )
    torch.manual_seed(0)
    assert float((trained.model.weight - nn.Linear(1, 1, bias=False).weight).detach()) == pytest.approx(
        -1 / 1001, rel=1e-3
    )


def test_costs_by_hand(tmp_path, monkeypatch):
    trained = trained_line(tmp_path, "training.epochs=3")
    for epoch, seconds in zip(trained.history.epochs, (5.0, 1.0, 2.0), strict=True):
        epoch["train_time_s"] = seconds
    times = iter([9.0, 0.001, 0.5, 0.25, 0.75])  # the first two calls warm up
    monkeypatch.setattr(training, "elapsed_s", lambda call: next(times))
    costs = trained.costs((torch.ones(40, 1),), repeats=3)
    assert costs == {"attention_parameters": 0.0, "seconds_per_epoch": 2.0, "latency_ms": 250.0}


def test_a_forward_pass_is_timed_on_32_rows_in_evaluation_mode():
    rows = []

    class Counts(nn.Linear):
        def forward(self, x):
            rows.append((len(x), self.training))
            return x

    assert latency_ms(Counts(1, 1), (torch.ones(40, 1),), repeats=3) >= 0
    assert rows == [(32, False)] * 5


@pytest.mark.parametrize("scale", ["quick", "laptop", "paper"])
@pytest.mark.parametrize("name", experiment_names(ROOT / "projects" / "better_attention"))
def test_every_recipe_has_the_epsilon_of_keras(name, scale):
    values = read_experiment(ROOT / "projects" / "better_attention", name, scale).values
    assert values.get("training", {"epsilon": 1e-7})["epsilon"] == 1e-7
    assert ("training" in values) is (name != "inference")

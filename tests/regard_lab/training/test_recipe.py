"""The recipe: what its schema refuses, what its optimisers are, and its learning rate step by step."""

import math
from dataclasses import replace

import pytest
import torch

from regard_lab.common.errors import UserError
from regard_lab.experiment.config import typed
from regard_lab.training.recipe import Training, optimiser, rate, scheduled
from regard_lab.training.trainer import Task, fit, loader

PLAIN = {"optimiser": "adamw", "learning_rate": 0.1, "batch_size": 4, "epochs": 2}
RECIPE = Training(**PLAIN)


def test_what_is_left_out_has_its_default():
    assert typed(Training, PLAIN) == RECIPE
    assert (RECIPE.schedule, RECIPE.clip_norm, RECIPE.precision, RECIPE.devices) == ("constant", None, "32-true", 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"optimiser": "sgd"}, "recipe: optimiser must be 'adam', 'adamw' or 'rmsprop', got 'sgd'"),
        ({"learning_rate": 0}, "recipe: learning_rate must be greater than 0, got 0"),
        ({"batch_size": 0}, "recipe: batch_size must be greater than 0, got 0"),
        ({"epochs": 1.5}, "recipe: epochs must be a valid integer, got 1.5"),
        ({"devices": True}, "recipe: devices must be a valid integer, got True"),
        ({"clip": 1.0}, "recipe: unknown key 'clip'. Did you mean 'clip_norm'?"),
        ({"clip_norm": -1}, "recipe: clip_norm must be greater than 0, got -1"),
        ({"precision": "32"}, "recipe: precision must be .* got '32'"),
    ],
)
def test_what_cannot_be_is_refused_with_its_value(change, message):
    with pytest.raises(UserError, match=message):
        typed(Training, PLAIN | change, "recipe")


def test_every_wrong_key_is_named_at_once():
    with pytest.raises(UserError, match=r"epochs.*got 0; .*batch_size.*got 0|batch_size.*got 0; .*epochs.*got 0"):
        typed(Training, PLAIN | {"epochs": 0, "batch_size": 0})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        # One step from 0 with gradient 1 and rate 0.1: Adam goes the whole rate; the mean square of RMSprop is 0.1 g².
        ("adam", -0.1),
        ("adamw", -0.1),
        ("rmsprop", -0.1 / math.sqrt(0.1)),
    ],
)
def test_a_first_step_by_hand(name, change):
    weight = torch.nn.Parameter(torch.zeros(1))
    step = optimiser([weight], replace(RECIPE, optimiser=name))
    weight.sum().backward()
    step.step()
    assert float(weight.detach()) == pytest.approx(change, rel=1e-5)


def test_a_group_keeps_its_own_rate():
    parts = [
        {"params": [torch.nn.Parameter(torch.zeros(1))]},
        {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.01},
    ]
    assert [group["lr"] for group in optimiser(parts, RECIPE).param_groups] == [0.1, 0.01]


@pytest.mark.parametrize(
    ("schedule", "warm_up", "rates"),
    [
        ("constant", 0, [1, 1, 1, 1]),
        ("constant", 1, [0.5, 1, 1, 1]),
        ("linear", 0, [1, 0.75, 0.5, 0.25]),
        ("cosine", 0, [1, 0.5 + math.sqrt(2) / 4, 0.5, 0.5 - math.sqrt(2) / 4]),
        ("cosine", 3, [0.25, 0.5 * (0.5 + math.sqrt(2) / 4), 0.75 * 0.5, 0.5 - math.sqrt(2) / 4]),
    ],
)
def test_the_rate_step_by_step(schedule, warm_up, rates):
    recipe = replace(RECIPE, schedule=schedule, warm_up_steps=warm_up)
    assert [rate(step, 4, recipe) for step in range(4)] == pytest.approx(rates)


def test_a_constant_rate_needs_no_scheduler():
    adam = optimiser([torch.nn.Parameter(torch.zeros(1))], RECIPE)
    assert scheduled(adam, 4, RECIPE) is adam


@pytest.mark.parametrize(("accumulate", "rates"), [(1, [0.1, 0.075, 0.05, 0.025]), (2, [0.1, 0.1, 0.05, 0.05])])
def test_a_schedule_falls_over_the_steps_of_all_epochs(tmp_path, accumulate, rates):
    """Two epochs of two batches: four steps, or two of two batches each."""
    used = []

    class Watched(Task):
        def training_step(self, batch, batch_idx):
            used.append(self.optimizers().param_groups[0]["lr"])
            return super().training_step(batch, batch_idx)

    recipe = replace(RECIPE, schedule="linear", accumulate=accumulate)
    batches = loader((torch.randn(8, 3), torch.zeros(8, 1)), 4)
    task = Watched(torch.nn.Linear(3, 1), squared, recipe)
    fit(task, batches, batches, seed=0, folder=tmp_path, best="validation_loss", mode="min", options={"logger": False})
    assert used == pytest.approx(rates)


def test_a_gradient_is_clipped(tmp_path):
    """The mean square of RMSprop after one step of gradient norm 0.5 is a tenth of its square."""
    recipe = replace(RECIPE, optimiser="rmsprop", clip_norm=0.5, epochs=1, batch_size=8)
    batches = loader((torch.full((8, 1), 10.0), torch.full((8, 1), 100.0)), 8)
    task = Task(torch.nn.Linear(1, 1, bias=False), squared, recipe)
    fit(task, batches, batches, seed=0, folder=tmp_path, best="validation_loss", mode="min", options={"logger": False})
    state = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=False)["optimizer_states"][0]["state"][0]
    assert float(state["square_avg"]) == pytest.approx(0.1 * 0.5**2, rel=1e-4)


def squared(model, batch):
    inputs, targets = batch
    return {"loss": torch.nn.functional.mse_loss(model(inputs), targets)}

"""Training: what a stop in between must not change, what the batches are, what a whole split scores."""

import struct
import zipfile

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from regard_lab.training.recipe import Training
from regard_lab.training.trainer import Batches, Task, evaluate, fit, load_weights, loader, seed_of

X = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()


def score(model, batch):
    inputs, labels = batch
    logits = model(inputs)
    return {"loss": F.cross_entropy(logits, labels), "accuracy": 100 * (logits.argmax(-1) == labels).float().mean()}


def recipe(epochs, learning_rate=0.01):
    return Training(optimiser="adam", learning_rate=learning_rate, batch_size=8, epochs=epochs)


def task(scored=score, epochs=1):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))
    return Task(model, scored, recipe(epochs))


def run(folder, epochs, scored=score):
    trained = task(scored, epochs)
    history = fit(
        trained,
        loader((X, Y), 8, seed=3),
        loader((X, Y), 25),
        seed=3,
        folder=folder,
        options={"logger": False},
    )
    return trained, history


def untimed(history):
    return [{name: value for name, value in epoch.items() if name != "train_time_s"} for epoch in history.epochs]


class Killed(Exception):
    """Stands for the power going off."""


def killed_at(step):
    count = 0

    def scored(model, batch):
        nonlocal count
        count += model.training
        if count > step:
            raise Killed
        return score(model, batch)

    return scored


@pytest.mark.parametrize(
    "step", [3, 7, 10, 20]
)  # in the first epoch (7 steps), at its end, in the second, in the third
def test_a_killed_run_goes_on_to_the_very_same_result(tmp_path, step):
    whole, expected = run(tmp_path / "whole", 4)
    with pytest.raises(Killed):
        run(tmp_path / "killed", 4, killed_at(step))
    # What a new process has: other global random states than the old one had.
    torch.manual_seed(999)
    resumed, history = run(tmp_path / "killed", 4)
    assert untimed(history) == untimed(expected)
    for (name, mine), (_, theirs) in zip(resumed.state_dict().items(), whole.state_dict().items(), strict=True):
        assert torch.equal(mine, theirs), name
    for which in ("best", "last"):
        load_weights(resumed, tmp_path / "killed", which)
        load_weights(whole, tmp_path / "whole", which)
        assert torch.equal(resumed.state_dict()["model.0.weight"], whole.state_dict()["model.0.weight"]), which


def test_a_resume_trains_only_what_is_missing(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path, 4, killed_at(20))  # two whole epochs of seven steps, and six steps of the third
    steps = []

    def counted(model, batch):
        steps.append(model.training)
        return score(model, batch)

    run(tmp_path, 4, counted)
    assert sum(steps) == 2 * 7


class Counted(nn.Module):
    """Knows how many steps it was trained; its «accuracy» is best after epoch 1, and only the last epoch's weights know of the last epoch."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.register_buffer("steps", torch.zeros(()))

    def forward(self, x):
        self.steps += self.training
        return self.linear(x)

    @staticmethod
    def score(model, batch):
        return score(model, batch) | {"accuracy": -((model.steps - 14.0) ** 2)}


def peaked(folder, epochs, scored=Counted.score):
    trained = Task(Counted(), scored, recipe(epochs, 1e-3))
    fit(
        trained,
        loader((X, Y), 8, seed=3),
        loader((X, Y), 25),
        seed=3,
        folder=folder,
        options={"logger": False},
    )
    steps = {}
    for which in ("best", "last"):
        load_weights(trained, folder, which)
        steps[which] = int(trained.model.steps)
    return steps


@pytest.mark.parametrize("step", [None, 10, 17, 24])  # never, and in epochs 1 (the best), 2 and 3
def test_the_last_epoch_is_kept_beside_the_best(tmp_path, step):
    if step is not None:
        count = 0

        def scored(model, batch):
            nonlocal count
            count += model.training
            if count > step:
                raise Killed
            return Counted.score(model, batch)

        with pytest.raises(Killed):
            peaked(tmp_path, 4, scored)
    assert peaked(tmp_path, 4) == {"best": 14, "last": 28}


def test_best_is_the_epoch_of_best_validation(tmp_path):
    trained, history = run(tmp_path, 5)
    load_weights(trained, tmp_path, "best")
    accuracy = evaluate(trained, loader((X, Y), 25))["accuracy"]
    assert accuracy == pytest.approx(max(epoch["validation_accuracy"] for epoch in history.epochs))


def test_batches_cover_every_example_once_and_change_with_the_epoch():
    batches = Batches(10, 4, seed=5)
    orders = []
    for epoch in range(2):
        batches.set_epoch(epoch)
        order = list(batches)
        assert [len(batch) for batch in order] == [4, 4, 2] == [len(batch) for batch in list(batches)]
        assert sorted(index for batch in order for index in batch) == list(range(10))
        orders.append(order)
    assert orders[0] != orders[1]
    assert len(batches) == 3
    assert list(Batches(5, 2)) == [[0, 1], [2, 3], [4]]


def test_ranks_share_the_batches(monkeypatch):
    """Of training; those in order are in `test_ranks.py`."""
    whole = list(Batches(70, 8, 5))  # nine batches
    parts = []
    for rank in range(2):
        monkeypatch.setattr("regard_lab.training.trainer._rank_and_world", lambda rank=rank: (rank, 2))
        batches = Batches(70, 8, 5)
        parts.append(list(batches))
        assert len(parts[-1]) == len(batches)
    assert parts[0] == whole[0:8:2]
    assert parts[1] == whole[1:8:2]


def test_batches_of_nothing_are_an_error():
    with pytest.raises(ValueError, match="n = 0 and batch_size = 4"):
        Batches(0, 4)


def test_evaluation_is_the_mean_over_examples_without_dropout():
    trained = task()
    trained.train()
    uneven = evaluate(trained, loader((X, Y), 7))  # the last batch is smaller
    with torch.no_grad():
        whole = score(trained.model.eval(), (X, Y))
    assert uneven["loss"] == pytest.approx(float(whole["loss"]), abs=1e-6)
    assert uneven["accuracy"] == pytest.approx(float(whole["accuracy"]), abs=1e-4)


def test_seeds_are_spread():
    seeds = {seed_of(seed, step) for seed in range(20) for step in range(200)}
    assert len(seeds) == 20 * 200
    assert seed_of(1, 0) != seed_of(0, 1)
    assert all(0 <= seed < 2**63 for seed in seeds)


def byte_of_a_tensor(path):
    """The place of a byte that carries data: torch pads its archives, and in the padding nothing can be damaged."""
    with zipfile.ZipFile(path) as archive:
        part = max(archive.infolist(), key=lambda info: info.file_size)
    start = part.header_offset
    name, extra = struct.unpack("<HH", path.read_bytes()[start + 26 : start + 30])
    return start + 30 + name + extra + part.file_size // 2


@pytest.mark.parametrize("which", ["best", "last"])
@pytest.mark.parametrize("harm", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_is_put_aside_and_the_training_begins_anew(tmp_path, capsys, which, harm):
    with pytest.raises(Killed):
        run(tmp_path, 2, killed_at(8))
    path = tmp_path / "checkpoints" / f"{which}.ckpt"
    content = bytearray(path.read_bytes())
    if harm == "flipped":
        content[byte_of_a_tensor(path)] ^= 1
    path.write_bytes(content if harm == "flipped" else content[: 0 if harm == "empty" else -200])
    _, history = run(tmp_path, 2)
    assert len(history.epochs) == 2
    assert f"{which}.ckpt is damaged" in capsys.readouterr().err
    assert (tmp_path / "checkpoints-damaged" / f"{which}.ckpt").exists()


def test_the_logs_have_rates_norms_and_losses(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    trained = task(epochs=2)
    fit(
        trained,
        loader((X, Y), 8, seed=3),
        loader((X, Y), 25),
        seed=3,
        folder=tmp_path,
        options={"log_every_n_steps": 1},
    )
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    norms = [event.value for event in events.Scalars("gradient_norm")]
    assert len(norms) == 14
    assert min(norms) > 0
    assert [event.value for event in events.Scalars("learning_rate/0")] == pytest.approx([0.01] * 14)
    assert len(events.Scalars("train_loss")) == len(events.Scalars("validation_loss")) == 2

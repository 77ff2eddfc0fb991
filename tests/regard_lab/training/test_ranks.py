"""Training on two devices (two processes on the CPU, joined by gloo): what it leaves is one training's, and measured as on one device."""

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from regard_lab.training import trainer
from regard_lab.training.ranks import RankFailed, on_ranks
from regard_lab.training.recipe import Training
from regard_lab.training.trainer import Batches, Task, evaluate, fit, load_weights, loader

X = torch.randn(50, 4, generator=torch.Generator().manual_seed(0))
Y = (X.sum(1) > 0).long()
VALIDATION = slice(0, 23)  # divides neither into batches of 10 nor into two


class Watched(nn.Module):
    """Writes what its dropout kept at each step, by rank; its buffer must be the same everywhere, as DDP has it."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 2))
        self.dropout, self.folder = nn.Dropout(0.5), folder
        self.killed_at: int | None = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
            kept = (self.dropout(torch.ones(8)) > 0).int().tolist()
            path = self.folder / f"rank{rank}"
            steps = path.read_text().splitlines() if path.exists() else []
            if rank == 1 and len(steps) == self.killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            path.write_text("\n".join([*steps, json.dumps(kept)]))
        return self.layers(self.dropout(x))


def score(model, batch):
    inputs, labels = batch
    logits = model(inputs)
    return {"loss": F.cross_entropy(logits, labels), "accuracy": 100 * (logits.argmax(-1) == labels).float().mean()}


def task(folder, devices=2, batch_size=8, **recipe):
    torch.manual_seed(1)
    settings = {"devices": devices, "strategy": "ddp" if devices > 1 else "auto", **recipe}
    training = Training(optimiser="adam", learning_rate=0.01, batch_size=batch_size, epochs=3, **settings)
    folder.mkdir(exist_ok=True)
    return Task(Watched(folder), score, training)


def train(one, folder):
    train_on = loader((X, Y), one.training_recipe.batch_size, seed=3)
    return fit(one, train_on, loader((X[VALIDATION], Y[VALIDATION]), 10), seed=3, folder=folder)


def kept(folder):
    return [(folder / f"rank{rank}").read_text().splitlines() for rank in range(2)]


def untimed(history):
    return [{name: value for name, value in epoch.items() if name != "train_time_s"} for epoch in history.epochs]


@pytest.mark.slow
def test_two_ranks_and_a_killed_one(tmp_path):
    """Scores are those of the weights over the whole split; each rank has dropout of its own; a run that lost a rank is resumed to the same bits."""
    whole = task(tmp_path / "whole")
    history = train(whole, tmp_path / "whole")
    assert len(history.epochs) == 3
    assert not torch.distributed.is_initialized()

    # What each epoch was validated with: mean over all 23 examples, by the best weights.
    load_weights(whole, tmp_path / "whole", "best")
    best = max(epoch["validation_accuracy"] for epoch in history.epochs)
    scores = evaluate(whole, loader((X[VALIDATION], Y[VALIDATION]), 10))
    assert scores["accuracy"] == pytest.approx(best, abs=1e-4)
    # A plain model with those weights, no Lightning near: the very same numbers.
    plain = nn.Sequential(*task(tmp_path / "plain").model.layers)
    state = torch.load(tmp_path / "whole/checkpoints/best.ckpt", weights_only=False)["state_dict"]
    plain.load_state_dict({name.removeprefix("model.layers."): value for name, value in state.items()})
    with torch.no_grad():
        alone = score(plain.eval(), (X[VALIDATION], Y[VALIDATION]))
    assert scores["accuracy"] == pytest.approx(float(alone["accuracy"]), abs=1e-4)

    zero, one = kept(tmp_path / "whole")
    assert len(zero) == len(one) == 9  # 7 batches of 8: three rounds of two, three epochs
    assert all(mine != theirs for mine, theirs in zip(zero, one, strict=True))

    cut = task(tmp_path / "cut")
    cut.model.killed_at = 4  # in the second epoch
    with pytest.raises(RankFailed, match=r"rank 1 of 2 ended without an answer \(SIGKILL\)"):
        train(cut, tmp_path / "cut")
    cut.model.killed_at = None
    assert untimed(train(cut, tmp_path / "cut")) == untimed(history)
    load_weights(cut, tmp_path / "cut", "best")
    for (name, mine), theirs in zip(cut.state_dict().items(), whole.state_dict().values(), strict=True):
        assert torch.equal(mine, theirs), name


def fails(word):
    raise ArithmeticError(f"no {word}")


def test_a_rank_that_fails_says_why(tmp_path):
    with pytest.raises(RankFailed, match="rank 0 of 1: ArithmeticError: no height"):
        on_ranks(fails, 1, tmp_path, "height")
    assert list(tmp_path.iterdir()) == []


def test_ranks_without_a_batch_are_refused(tmp_path):
    with pytest.raises(ValueError, match="8 devices need at least one each, but there are 7 batches of 8 to train on"):
        train(task(tmp_path, devices=8), tmp_path)
    with pytest.raises(ValueError, match="24 devices need at least one each, but there are 23 examples to validate on"):
        train(task(tmp_path, devices=24, batch_size=2), tmp_path)
    with pytest.raises(ValueError, match="fsdp cannot clip"):
        train(task(tmp_path, strategy="fsdp", clip_norm=1.0), tmp_path)


@pytest.mark.parametrize(("n", "size", "world"), [(23, 10, 2), (5, 1, 4), (100, 10, 3), (7, 100, 7), (50, 25, 2)])
def test_what_is_in_order_is_whole_and_even_over_ranks(monkeypatch, n, size, world):
    """DDP hangs where one rank has a batch more than another, and a metric that one rank lacks is never reduced."""
    parts = []
    for rank in range(world):
        monkeypatch.setattr(trainer, "_rank_and_world", lambda rank=rank: (rank, world))
        parts.append(list(Batches(n, size)))
        assert len(Batches(n, size)) == len(parts[-1])
    assert len({len(part) for part in parts}) == 1
    sizes = [len(batch) for part in parts for batch in part]
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1
    assert sorted(index for part in parts for batch in part for index in batch) == list(range(n))

"""Weights that stay: what is written of a training, and a run on it that trains nothing."""

import pytest
import torch
from torch import nn

from regard_lab.common.errors import UserError
from regard_lab.training.kept import (
    Offered,
    discard_checkpoints,
    keep_weights,
    keeping,
    offer,
    read_weights,
    replayed,
    used,
    write_weights,
)
from regard_lab.training.recipe import Training
from regard_lab.training.trainer import Task, evaluate, fit, load_weights, loader

X = torch.randn(40, 4, generator=torch.Generator().manual_seed(0))
Y = X.sum(1, keepdim=True)


def score(model, batch):
    inputs, targets = batch
    return {"loss": nn.functional.mse_loss(model(inputs), targets)}


def run(folder, seed=0):
    """A cell: two trainings, the second of them in a folder below; what each measures at its best and at its last epoch."""
    found = {}
    for number, place in enumerate((folder, folder / "below")):
        torch.manual_seed(seed + number)
        task = Task(nn.Linear(4, 1), score, Training("adam", 0.3, 8, 3))
        history = fit(
            task,
            loader((X, Y), 8, seed=1),
            loader((X, Y), 40),
            seed=1,
            folder=place,
            best="validation_loss",
            mode="min",
        )
        found[f"{number} at the end"] = evaluate(task, loader((X, Y), 40))["loss"]
        for which in ("best", "last"):
            load_weights(task, place, which)
            found[f"{number} {which}"] = evaluate(task, loader((X, Y), 40))["loss"]
        found[f"{number} epochs"] = [epoch["validation_loss"] for epoch in history.epochs]
    return found


def test_a_run_on_kept_weights_measures_the_same_and_trains_nothing(tmp_path, monkeypatch):
    before = run(tmp_path / "cell")
    assert keep_weights(tmp_path / "cell", [], tmp_path / "weights", "best")
    monkeypatch.setattr("regard_lab.training.trainer._fit", lambda *_: pytest.fail("it was trained"))
    with replayed(tmp_path / "weights", tmp_path / "scratch") as replay:
        assert run(tmp_path / "scratch" / "cell", seed=99) == before
        assert not replay.missed
    with (
        pytest.raises(UserError, match="holds no weights of what this run trains"),
        replayed(tmp_path, tmp_path / "scratch"),
    ):
        run(tmp_path / "scratch" / "cell")
    with pytest.raises(pytest.fail.Exception):
        run(tmp_path / "again")  # outside of the block


def test_the_last_epoch_alone(tmp_path):
    before = run(tmp_path / "cell")
    assert keep_weights(tmp_path / "cell", [], tmp_path / "weights", "last")
    assert not list((tmp_path / "weights").rglob("best.safetensors"))
    with replayed(tmp_path / "weights", tmp_path / "scratch") as replay:
        again = run(tmp_path / "scratch" / "cell")
    assert replay.missed
    assert again["0 last"] == again["0 best"] == before["0 last"]


def test_artefacts_are_made_again_or_restored(tmp_path):
    trained, other = tmp_path / "trained", tmp_path / "other"
    before = run(trained)
    other.mkdir()
    torch.save({"w": torch.arange(3.0)}, other / "generator.pt")
    torch.save([torch.ones(2)], other / "outputs.pt")  # no dictionary: what can be computed again
    (other / "training.json").write_text("{}")
    with keeping() as artefacts:
        for folder in (trained, other, trained):
            used(folder)
        discard_checkpoints(trained)
        assert (trained / "checkpoints").exists()
    assert artefacts == [trained, other]
    (tmp_path / "cell").mkdir()
    assert keep_weights(tmp_path / "cell", artefacts, tmp_path / "weights", "best")
    made = {}
    with replayed(tmp_path / "weights", tmp_path / "scratch") as replay:
        replay.artefact("a", lambda folder: made.update(run(folder)))
        folder = replay.artefact("b", lambda folder: pytest.fail("it was made again"))
        assert replay.artefact("b", lambda folder: None) == folder
    assert made == before
    assert sorted(path.name for path in folder.iterdir()) == ["generator.pt", "training.json"]
    assert torch.equal(torch.load(folder / "generator.pt")["w"], torch.arange(3.0))
    discard_checkpoints(trained)
    assert not (trained / "checkpoints").exists()
    used(tmp_path)  # nobody keeps anything


def test_a_cell_that_trains_nothing_has_no_weights(tmp_path):
    (tmp_path / "cell").mkdir()
    assert not keep_weights(tmp_path / "cell", [], tmp_path / "weights", "best")


@pytest.mark.parametrize(("wanted", "ends"), [(None, False), ("", True), ("cola", True), ("mnli", False)])
def test_a_model_is_offered_to_whoever_looks_for_it(tmp_path, wanted, ends):
    model = nn.Linear(1, 1)
    offer(model, "cola")
    with replayed(tmp_path, tmp_path / "scratch", wanted):
        if not ends:
            offer(model, "cola")
            return
        with pytest.raises(Offered) as offered:
            offer(model, "cola")
        assert offered.value.model is model


def test_tied_weights_are_written_each(tmp_path):
    shared = torch.arange(4.0)
    write_weights(tmp_path / "w.safetensors", {"a": shared, "b": shared, "c": shared.view(2, 2).T})
    read = read_weights(tmp_path / "w.safetensors")
    assert torch.equal(read["a"], shared)
    assert torch.equal(read["b"], shared)
    assert torch.equal(read["c"], shared.view(2, 2).T)

"""Batches that differ from epoch to epoch and are the same whenever they are asked for."""

from pathlib import Path

import numpy as np
import pytest
import torch

from projects.social_groups.data.fresh import EpochBatches, FreshScenes, training_batches
from tests.projects.social_groups.made_up import SIZES, config_of, load


def scenes_for(*words: str) -> FreshScenes:
    config = config_of(*words)
    return FreshScenes(config.data, config.budget, Path())


def test_a_batch_is_drawn_from_its_epoch_and_its_indices(made_up_data):
    fresh = scenes_for("experiment=court")
    one, again, later = fresh[0, (3, 1, 5)], fresh[0, (3, 1, 5)], fresh[1, (3, 1, 5)]
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not torch.equal(one[0], later[0])
    assert not torch.equal(one[1], later[1])  # other persons


def test_scenes_of_the_first_epoch_are_the_prepared_ones_and_recur_when_the_budget_says_so(made_up_data):
    fresh = scenes_for("experiment=court", "budget.fresh_epochs=2", "data.mirror=false")
    prepared = load("court", Path(), "package")["train"]
    for epoch in (0, 2):
        boxes = fresh[epoch, tuple(range(SIZES["train"]))][1].numpy()
        assert np.allclose(boxes, prepared.boxes / 10_000)
    other = fresh[1, tuple(range(SIZES["train"]))][1].numpy()
    assert not {row.tobytes() for row in other} & {row.tobytes() for row in boxes}
    noise = [fresh[epoch, (0, 1)][0] for epoch in (0, 2)]
    assert not torch.equal(*noise)


def test_half_of_the_scenes_are_mirrored(made_up_data):
    words = ("experiment=statsbomb", "budget.fresh_epochs=1")
    plain, mirrored = (scenes_for(*words, f"data.mirror={flag}")[0, tuple(range(12))] for flag in ("false", "true"))
    there = plain[3] >= -1
    turned = [not torch.equal(a, b) for a, b in zip(plain[1], mirrored[1], strict=True)]
    assert 2 <= sum(turned) <= 10
    for n in np.flatnonzero(turned):
        assert torch.allclose(mirrored[1][n, there[n], 0], 1 - plain[1][n, there[n], 0])


def test_what_cannot_be_made_is_refused(made_up_data):
    with pytest.raises(ValueError, match=r"no generator makes statsbomb: budget.fresh_epochs must be 1, got 3"):
        scenes_for("experiment=statsbomb", "budget.fresh_epochs=3")
    with pytest.raises(ValueError, match=r"a group has . members, the model has slots for 2"):
        scenes_for("experiment=court", "data.members=2")


def test_batches_carry_their_epoch(made_up_data):
    batches = EpochBatches(10, 4, seed=0)
    batches.set_epoch(3)
    keys = list(batches)
    assert [epoch for epoch, _ in keys] == [3, 3, 3]
    assert sorted(index for _, indices in keys for index in indices) == list(range(10))
    config = config_of("experiment=court")
    first = next(iter(training_batches(config.data, config.budget, 4, 0, Path())))
    assert first[0].shape == (4, 24, 12, 20)

"""Splits for evaluation: painted once, cut to the budget."""

from pathlib import Path

import pytest
import torch

from projects.social_groups.data.splits import scenes_of, splits, traits_of
from regard_lab.data.sets import court
from tests.projects.social_groups.made_up import SIZES, config_of


def test_splits_are_cut_to_the_budget_and_painted_once(made_up_data):
    config = config_of("experiment=court", "budget.test_scenes=3")
    parts = splits(config.data, config.budget, Path())
    assert {part: len(tensors[0]) for part, tensors in parts.items()} == {"validation": 3, "test": 3}
    assert splits(config.data, config.budget, Path()) is parts
    assert len(scenes_of(config.data, Path())["test"]) == SIZES["test"]
    assert traits_of("court") == court.TRAITS


def test_a_detectors_errors_change_what_is_painted_and_no_label(made_up_data):
    words = ("experiment=statsbomb", "data.noise=0")
    true, noisy = (
        splits(config.data, config.budget, Path())["test"]
        for config in (config_of(*words), config_of(*words, "data.detector.moved=0.2", "data.detector.missed=0.2"))
    )
    assert not torch.equal(true[0], noisy[0])
    assert all(torch.equal(a, b) for a, b in zip(true[1:], noisy[1:], strict=True))


def test_a_group_without_slots_for_all_is_refused(made_up_data):
    config = config_of("experiment=court", "data.members=2")
    with pytest.raises(ValueError, match=r"a group has . members, the model has slots for 2"):
        splits(config.data, config.budget, Path())

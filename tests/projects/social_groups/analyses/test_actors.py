"""Floors that see actors, on frames whose answer is known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from projects.social_groups.analyses import actors
from projects.social_groups.analyses.actors import (
    SetTransformer,
    action_counts,
    actors_of,
    counts_of,
    joined,
    labels_of,
    proximity,
    set_transformer,
)
from projects.social_groups.data import splits
from regard_lab.data.annotated_frames import Frame, scenes_of
from regard_lab.data.sets import social_cad
from tests.projects.social_groups.made_up import config_of

METRICS = {"scene_acc", "gid_acc", "gid_acc_half", "membership_acc", "social_acc", "member_f1"}


def pairs_of_one_action(n: int, seed: int):
    """Two who stand together and do the same, two who stand apart from them and each other."""
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(n):
        kind = int(rng.integers(1, 4))
        x = np.array([100.0, 150.0, 350.0, 600.0]) + rng.uniform(-10, 10, 4)
        boxes = [(float(left), 100.0, float(left) + 60, 260.0) for left in x]
        frames.append(Frame(1, (720, 480), boxes, [kind, kind, kind, 0], [[0, 1]], [kind]))
    return scenes_of(frames, actions=6, persons=social_cad.MOST_PERSONS, groups=social_cad.MOST_GROUPS)


@pytest.fixture
def frames(monkeypatch, tmp_path):
    sizes = {"train": 24, "validation": 12, "test": 12}
    made = {part: pairs_of_one_action(n, seed) for seed, (part, n) in enumerate(sizes.items())}
    monkeypatch.setattr(splits.data, "load", lambda *_: made)
    monkeypatch.chdir(tmp_path)
    return made


def test_groups_are_what_hangs_together():
    together = np.zeros((6, 6), dtype=bool)
    for one, other in ((0, 3), (3, 5), (1, 2)):
        together[one, other] = together[other, one] = True
    assert set(joined(together)) == {frozenset({0, 3, 5}), frozenset({1, 2})}
    assert joined(np.zeros((3, 3), dtype=bool)) == []


def test_proximity_finds_who_stands_together_and_names_what_they_do(frames):
    metrics = proximity(config_of("experiment=social_cad"), Path()).metrics
    assert set(metrics) == METRICS
    assert set(metrics.values()) == {100.0}
    missing = proximity(config_of("experiment=social_cad", "data.detector.missed=0.5"), Path()).metrics
    assert missing["membership_acc"] < 80


def test_actors_are_those_that_a_detector_sees(frames):
    config = config_of("experiment=social_cad", "data.detector.missed=0.4", "data.detector.false_boxes=1")
    test = actors_of(config)["test"]
    assert test.boxes.shape[1] == social_cad.MOST_PERSONS + 1
    assert 0.4 < test.there[:, :4].mean() < 0.8
    assert (test.groups[:, -1] == -1).all()
    assert [len(truth.persons) for truth in test.known] == [4] * 12


def test_counts_are_by_action_and_side(frames):
    test = actors_of(config_of("experiment=social_cad"))["test"]
    kind = frames["test"].activities[0, 0]
    counts = counts_of(test, 6)[0]
    assert counts[kind] == 2  # the pair stands left
    assert counts[6 + kind] == 1
    assert counts[6] == 1
    assert labels_of(test).tolist() == frames["test"].activities[:, 0].tolist()


def test_action_counts_name_the_scene(frames):
    metrics = action_counts(config_of("experiment=social_cad"), Path()).metrics
    assert metrics["scene_acc"] == 100
    assert metrics["membership_acc"] == 50


def test_the_set_transformer_learns_both(frames, monkeypatch):
    monkeypatch.setattr(actors, "EPOCHS", 30)
    monkeypatch.setattr(actors, "BATCH", 8)
    metrics = set_transformer(config_of("experiment=social_cad"), Path()).metrics
    assert metrics["membership_acc"] > 90
    assert metrics["scene_acc"] > 90


def test_the_set_transformer_does_not_read_who_is_not_there():
    torch.manual_seed(0)
    network = SetTransformer(10, 3).eval()
    x, there = torch.randn(2, 5, 10), torch.tensor([[True] * 3 + [False] * 2] * 2)
    changed = x.clone()
    changed[:, 3:] += 1
    for one, other in zip(network(x, there), network(changed, there), strict=True):
        seen = (
            (slice(None),) + (slice(3),) * (one.dim() - 1) if one.dim() == 3 and one.shape[1] == 5 else (slice(None),)
        )
        assert torch.allclose(one[seen], other[seen], atol=1e-5)
    pairs = network(x, there)[0]
    assert torch.allclose(pairs, pairs.mT, atol=1e-6)

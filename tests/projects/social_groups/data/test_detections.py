"""The errors of a detector: how large they are, and that nothing else changes."""

import numpy as np
import pytest

from projects.social_groups.config import Detector
from projects.social_groups.data.detections import detected
from regard_lab.data.scenes import NOBODY, OUTSIDER, PLACES, UNIT, Scenes

N, P, ACTIONS = 400, 6, 3


def scenes() -> Scenes:
    rng = np.random.default_rng(0)
    groups = np.where(np.arange(P) < 5, np.arange(P) % 2, NOBODY)[None].repeat(N, 0).astype(np.int8)
    boxes = np.where((groups != NOBODY)[..., None], [5000, 5000, 800, 2000], 0).astype(np.int16)
    actions = np.where(groups != NOBODY, rng.integers(0, ACTIONS, (N, P)), 0).astype(np.int8)
    traits = np.where((groups != NOBODY)[..., None], UNIT * np.eye(ACTIONS)[actions], 0).astype(np.int16)
    return Scenes(boxes, traits, actions, groups, np.zeros((N, 2), np.int8), np.zeros(N, np.int16))


def test_a_detector_without_errors_sees_what_is_there():
    true = scenes()
    seen = detected(true, Detector(), np.random.default_rng(1))
    assert not Detector().errs
    assert all(np.array_equal(getattr(seen, name), array) for name, array in true.arrays().items())


def test_each_error_is_as_large_as_it_says():
    true, there = scenes(), scenes().groups != NOBODY
    seen = detected(true, Detector(moved=0.1, stretched=0.1, missed=0.2, misread=0.3), np.random.default_rng(1))
    moved = (seen.boxes[there][:, :2].astype(float) - true.boxes[there][:, :2]) / true.boxes[there][:, 2:]
    assert moved.std(0) == pytest.approx([0.1, 0.1], rel=0.1)
    assert np.log(seen.boxes[there][:, 2:] / true.boxes[there][:, 2:]).std() == pytest.approx(0.1, rel=0.1)
    assert (seen.groups[there] == NOBODY).mean() == pytest.approx(0.2, abs=0.03)
    assert (seen.traits[there] != true.traits[there]).any(-1).mean() == pytest.approx(0.3, abs=0.03)
    assert (seen.traits[there].sum(-1) == UNIT).all()  # one action each
    assert (seen.groups[~there] == NOBODY).all()
    assert np.array_equal(seen.actions, true.actions)  # the labels


def test_false_boxes_are_nobodys_and_come_after_the_persons():
    true = scenes()
    seen = detected(true, Detector(false_boxes=2), np.random.default_rng(1))
    assert seen.groups.shape == (N, P + 2)
    assert set(np.unique(seen.groups[:, P:])) <= {OUTSIDER, NOBODY}
    false = seen.groups[:, P:] == OUTSIDER
    assert 0.5 < false.mean() < 1  # of a size like somebody's, or of nobody's
    assert (seen.boxes[:, P:][false][:, 2:] == [800, 2000]).all()
    assert (seen.boxes[:, P:][~false] == 0).all()
    assert (seen.boxes <= PLACES).all()
    assert np.array_equal(seen.boxes[:, :P], true.boxes)

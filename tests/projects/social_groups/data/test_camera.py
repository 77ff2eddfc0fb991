"""A camera elsewhere moves and magnifies all persons of a scene alike, and loses none."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from projects.social_groups.config import Camera
from projects.social_groups.data.camera import moved
from projects.social_groups.data.fresh import FreshScenes
from regard_lab.data.crowds import generate
from regard_lab.data.scenes import NOBODY, PLACES, Scenes
from regard_lab.data.sets import court
from tests.projects.social_groups.made_up import config_of


class Drawn:
    """Draws that are said beforehand."""

    def __init__(self, *draws):
        self.draws = list(draws)

    def uniform(self, low, high, shape):
        draw = np.broadcast_to(np.asarray(self.draws.pop(0), dtype=float), shape)
        assert ((low <= draw) & (draw <= high)).all()
        return draw


def two_persons() -> Scenes:
    """At a quarter and at half of the frame, and a place where nobody is."""
    scenes = generate(court.WORLD, 5, 1, range(3))
    boxes = np.zeros_like(scenes.boxes)
    boxes[0, :2] = [[2500, 5000, 400, 1000], [5000, 6000, 800, 2000]]
    groups = np.full_like(scenes.groups, NOBODY)
    groups[0, :2] = 0
    return replace(scenes, boxes=boxes, groups=groups)


def test_by_hand():
    """Twice as large about the middle, then 0.1 to the right and 0.05 up."""
    seen = moved(two_persons(), Camera(zoom=1.0, pan=0.2), Drawn(np.log(2), [[0.1, -0.05]]))
    assert seen.boxes[0, :2].tolist() == [[1000, 4500, 800, 2000], [6000, 6500, 1600, 4000]]
    assert (seen.boxes[0, 2:] == 0).all()


def test_a_shift_ends_where_the_outermost_person_would_leave():
    seen = moved(two_persons(), Camera(zoom=0.0, pan=0.9), Drawn(0.0, [[-0.8, 0.7]]))
    assert seen.boxes[0, :2, :2].tolist() == [[0, 9000], [2500, 10000]]


def test_a_magnification_is_at_most_what_fits():
    """From a quarter to three quarters of the frame fit at most twice."""
    scenes = two_persons()
    scenes.boxes[0, 1, 0] = 7500
    seen = moved(scenes, Camera(zoom=2.0, pan=0.0), Drawn(2.0, 0.0))
    assert seen.boxes[0, :2, 0].tolist() == [0, 10000]
    assert seen.boxes[0, 0, 2] == 800


def test_everybody_stays_and_only_boxes_change():
    scenes = generate(court.WORLD, 5, 50, range(3))
    seen = moved(scenes, Camera(zoom=0.5, pan=0.5), np.random.default_rng(0))
    there = scenes.groups != NOBODY
    centres = seen.boxes[there][:, :2]
    assert ((centres >= 0) & (centres <= PLACES)).all()
    assert (seen.boxes[there][:, 2:] > 0).all()
    assert (seen.boxes[~there] == 0).all()
    for name, array in scenes.arrays().items():
        assert (getattr(seen, name) == array).all() is np.bool_(name != "boxes")
    ratio = seen.boxes[..., 3][there] / scenes.boxes[..., 3][there]
    assert ratio.min() < 0.8
    assert ratio.max() > 1.2


@pytest.mark.parametrize(("zoom", "changes"), [(0.0, False), (0.3, True)])
def test_training_scenes_are_seen_from_elsewhere_in_every_epoch(made_up_data, zoom, changes):
    config = config_of("data.mirror=false", "data.noise=0.0", f"data.camera.zoom={zoom}", "budget.fresh_epochs=1")
    batches = FreshScenes(config.data, config.budget, Path())
    first, again, later = batches[0, (0, 1)], batches[0, (0, 1)], batches[1, (0, 1)]
    assert (first[1] == again[1]).all()
    assert bool((first[1] != later[1]).any()) is changes
    assert bool((first[0] != later[0]).any()) is changes
    assert (first[3] == later[3]).all()

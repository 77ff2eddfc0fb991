"""What the scenes give away: shortcuts at chance, and probes that would notice one; the rules at the ceiling, a mirror that swaps sides."""

import numpy as np
import pytest
import torch

from projects.social_groups.analyses import rules, shortcuts
from projects.social_groups.analyses.shortcuts import LEARNT, WORLDS, by_chance, by_distance, grouped, learnt
from projects.social_groups.data.painting import codes, maps
from projects.social_groups.tasks.evaluation import truths
from projects.social_groups.tasks.metrics import persons_right
from regard_lab.data.crowds import TRAITS, generate
from regard_lab.data.scenes import NOBODY, Scenes
from regard_lab.experiment.tables import load_table
from tests.projects.social_groups.made_up import ROOT, config_of

NAMES = ("court", "plaza")
PROBES = (*LEARNT, "distance", "floor", "rules", "ceiling")


@pytest.fixture(scope="module")
def parts():
    made = {}
    for name in NAMES:
        sizes = {"train": 400, "validation": 100, "test": 300}
        made[name] = {
            part: generate(WORLDS[name], 10 + number, size, range(20 * number, 20 * number + 20))
            for number, (part, size) in enumerate(sizes.items())
        }
    return made


def known(scenes: Scenes):
    return truths(
        torch.from_numpy(scenes.groups.astype(np.int64)), torch.from_numpy(scenes.activities.astype(np.int64))
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("probe", LEARNT)
def test_a_probe_of_the_activity_is_at_chance(parts, name, probe):
    world = WORLDS[name]
    chance, asked = 100 / len(world.activities), len(LEARNT[probe](parts[name]["test"])[1])
    error = 100 * np.sqrt(
        chance / 100 * (1 - chance / 100) / min(asked, 300)
    )  # members of one group are no independent draws
    assert abs(learnt(LEARNT[probe], parts[name], world, seed=0) - chance) < 3.5 * error


@pytest.mark.parametrize("name", NAMES)
def test_the_probe_would_notice_an_activity_that_one_person_shows(parts, name):
    told = {}
    for part, scenes in parts[name].items():
        traits = scenes.traits.copy()
        row, person = np.nonzero(scenes.groups >= 0)
        traits[row, person, TRAITS.index("speed")] = 300 * scenes.activities[row, scenes.groups[row, person]].astype(
            int
        )
        told[part] = Scenes(scenes.boxes, traits, scenes.actions, scenes.groups, scenes.activities, scenes.templates)
    assert learnt(LEARNT["person"], told, WORLDS[name], seed=0) > 60


@pytest.mark.parametrize("name", NAMES)
def test_distances_do_not_tell_who_belongs_together(parts, name):
    scenes = parts[name]["test"]
    truth = known(scenes)
    told = grouped([by_distance(scenes, n, one, 0) for n, one in enumerate(truth)], truth)
    chance = grouped([by_chance(one, np.random.default_rng(n)) for n, one in enumerate(truth)], truth)
    assert abs(told - chance) < 5


def test_the_distance_probe_would_notice_groups_that_stand_together(parts):
    scenes = parts["court"]["test"][:60]
    boxes = scenes.boxes.copy()
    member = scenes.groups == 0
    boxes[..., 0] = np.where(member, boxes[..., 0] // 8 + 500, 6000 + boxes[..., 0] // 3)
    near = Scenes(boxes, scenes.traits, scenes.actions, scenes.groups, scenes.activities, scenes.templates)
    truth = known(near)
    assert grouped([by_distance(near, n, one, 0) for n, one in enumerate(truth)], truth) > 75


@pytest.mark.parametrize("name", NAMES)
def test_the_rules_read_the_true_state_without_an_error(parts, name):
    scenes = parts[name]["test"]
    looks, x = codes(scenes, TRAITS, 24), rules.centres_x(scenes)
    for number, truth in enumerate(known(scenes)):
        found = rules.read(WORLDS[name], looks[number], x[number], sorted(truth.persons))
        assert persons_right(found, truth, True) == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_the_noisy_maps_can_be_read_and_not_without_errors(parts, name):
    scenes = parts[name]["test"]
    looks, x = rules.measured(maps(scenes, TRAITS, (12, 20), 24, 0.15, (2,)), scenes), rules.centres_x(scenes)
    right = [
        persons_right(rules.read(WORLDS[name], looks[number], x[number], sorted(truth.persons)), truth, False)
        for number, truth in enumerate(known(scenes))
    ]
    assert 0.8 < np.mean(right) < 1.0


def test_no_scene_of_one_split_is_nearly_one_of_another(parts):
    """The nearest two scenes of two splits are no nearer than the nearest two of one."""
    for splits in parts.values():
        places = {}
        for part in ("train", "test"):
            scenes = splits[part]
            x = np.where(scenes.groups == NOBODY, 0, scenes.boxes[..., 0])
            y = np.where(scenes.groups == NOBODY, 0, scenes.boxes[..., 1])
            places[part] = np.concatenate([np.sort(x, axis=1), np.sort(y, axis=1)], axis=1).astype(float)
        apart = np.linalg.norm(places["train"][:, None] - places["test"][None], axis=-1)
        inside = np.linalg.norm(places["train"][:, None] - places["train"][None], axis=-1)
        assert apart.min() > 0.5 * inside[np.triu_indices(len(inside), 1)].min() > 0


@pytest.mark.parametrize("world", ["court", "plaza"])
@pytest.mark.parametrize("probe", PROBES)
def test_every_probe_gives_a_row(made_up_data, tmp_path, probe, world):
    metrics = shortcuts.measure(config_of(f"experiment={world}", f"probe={probe}"), tmp_path).metrics
    assert set(metrics) == set(load_table("social_groups", "shortcuts", "quick", ROOT).spec.metrics)
    if probe == "ceiling":
        assert metrics["activity_acc"] == metrics["membership_acc"] == 100
    if probe == "floor":
        assert metrics["activity_above_chance"] == metrics["membership_above_chance"] == 0

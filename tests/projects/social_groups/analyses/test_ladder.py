"""The rungs of the ladder: they see what they are given, learn from it, and give the same columns."""

import numpy as np
import pytest
import torch

from projects.social_groups.analyses import ladder
from projects.social_groups.analyses.ladder import MeanOfMembers, measure, members_guesses, numbers_of, of_persons
from projects.social_groups.analyses.shortcuts import WORLDS
from projects.social_groups.data.painting import codes
from projects.social_groups.tasks import metrics
from regard_lab.data.crowds import TRAITS, generate
from regard_lab.experiment.tables import load_table
from tests.projects.social_groups.made_up import ROOT, SMALL, config_of


@pytest.mark.parametrize("given", ["given_members", "given_persons", "none"])
@pytest.mark.parametrize("world", ["court", "plaza"])
def test_every_rung_gives_a_row_and_repeats_itself(made_up_data, tmp_path, world, given):
    config = config_of(f"experiment={world}", f"probe={given}", *SMALL)
    spec = load_table("social_groups", "ladder", "quick", ROOT).spec
    one, again = measure(config, tmp_path / "one"), measure(config, tmp_path / "again")
    assert set(one.metrics) == set(spec.metrics)
    assert set(one.curves) == set(spec.curves)
    assert one.metrics == again.metrics
    if given == "given_members":
        assert one.metrics["membership_acc"] == 100


def test_given_members_learn_their_relation(monkeypatch):
    config = config_of("experiment=court", "training.batch_size=64")
    scenes = generate(WORLDS["court"], 0, 64, range(3))
    torch.manual_seed(0)
    network = MeanOfMembers(config.data.channels + 4, 8)
    adam = torch.optim.Adam(network.parameters(), lr=5e-3)
    for _ in range(250):
        adam.zero_grad()
        ladder.members_loss(network, scenes, config).backward()
        adam.step()
    assert metrics.mean(members_guesses(network, scenes, config), metrics.group_right) > 0.95


def test_a_group_is_named_by_its_own_members_alone():
    config = config_of("experiment=plaza")
    scenes = generate(WORLDS["plaza"], 0, 6, range(3))
    network = MeanOfMembers(config.data.channels + 4, 5)
    before = members_guesses(network, scenes, config)
    scenes.traits[scenes.groups == -1] = 77
    after = members_guesses(network, scenes, config)
    assert [g.scores for one, _ in before for g in one] == [g.scores for one, _ in after for g in one]
    scenes.traits[scenes.groups == 0] = 77
    assert [g.scores for one, _ in before for g in one] != [
        g.scores for one, _ in members_guesses(network, scenes, config) for g in one
    ]


def test_persons_are_given_with_what_is_painted_for_them():
    config = config_of("experiment=court")
    scenes = generate(WORLDS["court"], 0, 5, range(3))
    numbers = numbers_of(scenes, config)
    assert numbers.shape == (5, 12, 28)
    assert np.array_equal(numbers[..., 4:].numpy(), codes(scenes, TRAITS, 24))
    persons, (_, there, groups, own, scene) = of_persons(scenes, config)
    assert torch.equal(there, groups >= -1)
    assert torch.equal(own >= 0, groups == 0)
    assert own.amax(1).tolist() == scene.tolist() == scenes.activities[:, 0].tolist()
    assert len(persons.known) == 5

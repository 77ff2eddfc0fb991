"""The configs of every table and experiment, and what they refuse."""

from typing import get_args, get_type_hints

import pytest

from projects.social_groups.analyses.shortcuts import LEARNT
from projects.social_groups.config import PROJECT, AttentionDesign, Config, check
from projects.social_groups.models.decoder_attention import DESIGNS
from regard_lab.common.errors import UserError
from regard_lab.data.sets import court, plaza, statsbomb
from regard_lab.evidence.paper import load_paper
from regard_lab.experiment.tables import load_table
from tests.projects.social_groups.made_up import ROOT, config_of

SCALES = ("quick", "laptop", "paper")


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("table", PROJECT.tables(ROOT))
def test_every_config_composes_and_passes_its_check(table, scale):
    composed = load_table("social_groups", table, scale, ROOT, check=True)
    assert len({cell.id for cell in composed.cells}) == len(composed.cells)
    assert {len(row) for row in composed.rows} == {{"quick": 1, "laptop": 3, "paper": 5}[scale]}
    for cell in composed.cells:
        for name, value in cell.key.items():
            where = {"queries": "model", "self_attention": "model", "groups": "model", "slots": "data"}.get(name)
            found = cell.config[where] if where else cell.config
            assert (
                cell.config["data"]["name"] if name == "world" else found[{"slots": "members"}.get(name, name)]
            ) == value


def test_no_number_is_claimed_to_be_the_papers():
    paper = load_paper(ROOT / "projects/social_groups")
    assert set(paper.tables) == set(PROJECT.tables(ROOT))
    for name, table in paper.tables.items():
        assert all(value is None for row in table.rows for value in row.values.values())
        if name != "cost":
            assert "Synthetic: " in table.note or "Real, but neither" in table.note
        stands_in = {"court": "Volleyball", "plaza": "Collective Activity", "statsbomb": "Volleyball"}
        spec = load_table("social_groups", name, "quick", ROOT).spec
        assert all(stands_in[data] == place for data, place in spec.data_sets.items())


def test_a_set_says_what_the_config_says_of_it():
    for module in (court, plaza, statsbomb):
        data = config_of(f"experiment={module.CARD.name}").data
        assert (data.activities, data.actions) == (len(module.ACTIVITIES), len(module.ACTIONS))
    assert max(court.WORLD.sizes) == max(plaza.WORLD.sizes) == 6
    assert config_of("experiment=statsbomb").data.members == statsbomb.MOST_MEMBERS


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.queries=sums", "model.queries must be 'single', .* or 'mlp', got 'sums'"),
        ("model.self_attention=ful", "model.self_attention must be 'none', .* or 'full_twice', got 'ful'"),
        ("model.mechanism=sofmax", "there is no mechanism 'sofmax'"),
        ("model.width=30", "width = 30 and heads = 4"),
        ("model.groups=0", "model.groups must be greater than 0, got 0"),
        ("model.dropout=1.0", "model.dropout must be less than 1, got 1.0"),
        ("budget.train_scenes=0", "budget.train_scenes must be greater than 0, got 0"),
        ("training.learning_rate=0", "training.learning_rate must be greater than 0, got 0"),
        ("weights.points=-1", "weights.points must be greater than or equal to 0, got -1"),
        ("data.grid=[3,20]", r"halved 2 times, got \(3, 20\)"),
        ("data.grid=[12]", "data.grid.1 is missing"),
        ("probe=look", "probe must be 'none', .*, got 'look'"),
    ],
)
def test_a_config_that_cannot_run_is_refused_with_the_numbers(override, message):
    with pytest.raises((ValueError, UserError), match=message):
        check(config_of(override))


def test_the_schema_names_the_designs_and_probes_that_there_are():
    assert set(get_args(AttentionDesign)) == set(DESIGNS)
    probes = {*LEARNT, "none", "distance", "floor", "rules", "ceiling", "given_members", "given_persons"}
    assert set(get_args(get_type_hints(Config)["probe"])) == probes

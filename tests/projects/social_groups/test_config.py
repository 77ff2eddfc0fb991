"""The configs of every table and experiment, and what they refuse."""

import importlib
from typing import get_args, get_type_hints

import pytest

from projects.social_groups.analyses.shortcuts import LEARNT
from projects.social_groups.config import PROJECT, AttentionDesign, Config, check
from projects.social_groups.models.decoder_attention import DESIGNS
from regard_lab.common.errors import UserError
from regard_lab.data.sets import court, plaza, social_cad, statsbomb, volleyball
from regard_lab.evidence.paper import load_paper
from regard_lab.experiment.tables import load_table
from tests.projects.social_groups.made_up import ROOT, config_of

SCALES = ("quick", "laptop", "paper")


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("table", PROJECT.tables(ROOT))
def test_every_config_composes_and_passes_its_check(table, scale):
    composed = load_table("social_groups", table, scale, ROOT, check=True)
    assert len({cell.id for cell in composed.cells}) == len(composed.cells)
    seeds = {"quick": 1, "laptop": 3, "paper": 5}[scale]
    assert {len(row) for row in composed.rows} == {seeds}
    where = {"slots": "data", "order": "data"}
    called = {"slots": "members", "given": "probe"}
    for cell in composed.cells:
        for name, value in cell.key.items():
            if name in ("input", "recipe"):  # several values each, below
                continue
            part = cell.config[where.get(name, "model")] if name not in ("world", "probe", "given") else cell.config
            assert (cell.config["data"]["name"] if name == "world" else part[called.get(name, name)]) == value


def test_every_part_of_the_recipe_changes_what_it_says_and_nothing_else():
    cells = {cell.key["recipe"]: cell.config for cell in load_table("social_groups", "recipe", "laptop", ROOT).cells}
    whole = cells.pop("whole")
    changed = {
        name: {
            (section, key): value
            for section in ("data", "model", "weights", "budget", "training")
            for key, value in config[section].items()
            if value != whole[section][key]
        }
        for name, config in cells.items()
    }
    assert changed == {
        "no_slot_action": {("weights", "slot_action"): 0.0},
        "no_softmax": {("weights", "activity_softmax"): 0.0},
        "all_slots": {("model", "pool"): "all"},
        "two_layers": {("model", "decoder_layers"): 2},
        "prepared_scenes": {("data", "mirror"): False, ("budget", "fresh_epochs"): 1},
        "published": {("model", "pool"): "all", ("weights", "activity_softmax"): 0.0, ("weights", "slot_action"): 0.0},
    }


def test_a_detector_errs_in_the_rows_that_say_so():
    for table in ("collective_boxes", "volleyball_boxes"):
        for cell in load_table("social_groups", table, "laptop", ROOT).cells:
            errs = any(cell.config["data"]["detector"].values())
            assert errs == (cell.key["input"] == "detected")


@pytest.mark.parametrize(
    ("experiment", "planned"),
    [("court", 2000), ("plaza", 2000), ("statsbomb", 2000), ("social_cad", 3680), ("volleyball", 2000)],
)
def test_the_laptop_recipe_has_the_steps_that_the_readme_says(experiment, planned):
    config = config_of(f"experiment={experiment}", "scale=laptop")
    scenes = config.budget.train_scenes or importlib.import_module(f"regard_lab.data.sets.{experiment}").SIZES["train"]
    steps = -(-scenes // config.training.batch_size) * config.training.epochs
    assert 0.975 * planned <= steps < 1.025 * planned


def test_no_number_is_claimed_to_be_the_papers():
    paper = load_paper(ROOT / "projects/social_groups")
    assert set(paper.tables) == {*PROJECT.tables(ROOT), "cafe_reference"}
    said = (
        "Synthetic: ",
        "Real, but neither",
        "The papers' own labels, without pixels",
        "not the ECCV paper's own numbers",
    )
    for name, table in paper.tables.items():
        if name != "cafe_reference":  # numbers of others, in no other table
            assert all(value is None for row in table.rows for value in row.values.values())
        if name != "cost":
            assert any(words in table.note for words in said)
    stands_in = {"court": "Volleyball", "plaza": "Collective Activity", "statsbomb": "Volleyball"}
    for name in PROJECT.tables(ROOT):
        spec = load_table("social_groups", name, "quick", ROOT).spec
        assert all(stands_in.get(data) == place for data, place in spec.data_sets.items())


def test_a_set_says_what_the_config_says_of_it():
    for module in (court, plaza, statsbomb, social_cad, volleyball):
        data = config_of(f"experiment={module.CARD.name}").data
        assert (data.activities, data.actions) == (len(module.ACTIVITIES), len(module.ACTIONS))
    assert max(court.WORLD.sizes) == max(plaza.WORLD.sizes) == 6
    assert config_of("experiment=statsbomb").data.members == statsbomb.MOST_MEMBERS
    assert config_of("experiment=volleyball").data.members == volleyball.MOST_PERSONS


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
        ("data.order=z", "data.order must be 'x', 'y' or 'random', got 'z'"),
        ("model.pool=some", "model.pool must be 'all' or 'existing', got 'some'"),
        ("data.detector.missed=1", "data.detector.missed must be less than 1, got 1"),
        ("data.detector.misread=0.1", "misread needs traits that are actions, .*; court has others, got misread = 0.1"),
        ("budget.fresh_epochs=0", "budget.fresh_epochs must be greater than 0, got 0"),
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

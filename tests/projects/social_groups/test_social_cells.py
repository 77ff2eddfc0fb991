"""Configs, and cells from data to metrics on a few generated scenes."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from projects.social_groups import cost, shortcuts
from projects.social_groups import data as project_data
from projects.social_groups.check import check
from projects.social_groups.config import PROJECT
from projects.social_groups.data import tensors
from projects.social_groups.evaluate import predict, scores
from projects.social_groups.features import maps
from projects.social_groups.figures import FIGURES, GROUPS, colours
from projects.social_groups.model import SocialGroups
from projects.social_groups.shortcuts import PROBES, WORLDS
from projects.social_groups.train import optimiser, score, train
from regard_lab.data.crowds import TRAITS, generate
from regard_lab.data.scenes import Scenes
from regard_lab.data.sets import court, plaza, statsbomb
from regard_lab.evidence.paper import load_paper
from regard_lab.experiment.results import DataUse, Metric, Result, Row
from regard_lab.experiment.tables import load_table
from regard_lab.report.figures import Results
from tests.configs import configs_of

ROOT = Path(__file__).resolve().parents[3]
SCALES = ("quick", "laptop", "paper")
SMALL = ("budget.epochs=1", "training.batch_size=4", "model.width=16", "model.groups=3", "model.feed_forward=16")


config_of = configs_of(PROJECT, default="experiment=court")


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
        ("model.queries=sums", "model.queries must be one of single, .*, got 'sums'"),
        ("model.self_attention=ful", "model.self_attention must be one of none, .*, got 'ful'"),
        ("model.mechanism=sofmax", "there is no mechanism 'sofmax'"),
        ("model.width=30", "width = 30 and heads = 4"),
        ("model.groups=0", "model.groups must be at least 1, got 0"),
        ("model.dropout=1.0", "below 1, got 1.0"),
        ("budget.train_scenes=0", "budget.train_scenes must be at least 1, got 0"),
        ("training.learning_rate=0", "must be positive"),
        ("data.grid=[3,20]", r"halved 2 times, got \[3, 20\]"),
    ],
)
def test_a_config_that_cannot_run_is_refused_with_the_numbers(override, message):
    with pytest.raises(ValueError, match=message):
        check(config_of(override))


def football(n: int) -> Scenes:
    """Moments of the right shapes: one team in the left half, the other in the right."""
    rng = np.random.default_rng(0)
    players = [
        [
            {"location": [float(x), float(y)], "teammate": k < 7, "actor": k == 0, "keeper": k == 13}
            for k, (x, y) in enumerate(rng.uniform([0, 0], [120, 80], (14, 2)))
        ]
        for _ in range(n)
    ]
    return statsbomb.scenes_of([(one, ("Pass", "Carry", "Shot")[k % 3]) for k, one in enumerate(players)], 0)


@pytest.fixture
def made_up_data(monkeypatch, tmp_path):
    """A few scenes in place of the prepared sets; the shapes are the real ones."""

    def load(name, root, source):
        sizes = {"train": 12, "validation": 6, "test": 8}
        if name == "statsbomb":
            return {part: football(size) for part, size in sizes.items()}
        return {
            part: generate(WORLDS[name], k, size, range(4 * k, 4 * k + 4))
            for k, (part, size) in enumerate(sizes.items())
        }

    monkeypatch.setattr(project_data.data, "load", load)
    project_data._painted.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield
    project_data._painted.cache_clear()


@pytest.mark.parametrize(
    ("data", "queries", "attention"),
    [("court", "single", "inter_intra"), ("plaza", "sum", "group_means"), ("statsbomb", "sum", "full")],
)
def test_a_cell_gives_what_its_table_lists_and_repeats_itself(made_up_data, tmp_path, data, queries, attention):
    table = {"court": "query_designs", "plaza": "self_attention", "statsbomb": "football"}[data]
    spec = load_table("social_groups", table, "quick", ROOT).spec
    config = config_of(f"experiment={data}", f"model.queries={queries}", f"model.self_attention={attention}", *SMALL)
    first, again = train(config, tmp_path / "first"), train(config, tmp_path / "again")
    assert set(first.metrics) == set(spec.metrics)
    assert set(first.curves) == set(spec.curves)
    assert all(math.isfinite(value) for value in first.metrics.values())
    untimed = set(first.metrics) - {"seconds_per_epoch"}
    assert {name: first.metrics[name] for name in untimed} == {name: again.metrics[name] for name in untimed}
    shown = first.exhibits["scenes"][0]
    assert {str(member) for group in shown["true"] for member in group["members"]} <= set(shown["persons"])


def test_the_paper_scale_runs_a_step(made_up_data):
    config = config_of("scale=paper", "training.batch_size=2")
    torch.manual_seed(0)
    model = SocialGroups(config.data, config.model)
    scenes = generate(WORLDS["court"], 0, 2, range(3))
    batch = tensors(scenes, maps(scenes, TRAITS, (12, 20), 24, 0.15, (0,)))
    loss = score(model, batch, weights=config.weights)["loss"]
    loss.backward()
    assert math.isfinite(float(loss))
    assert all(p.grad is not None for name, p in model.named_parameters() if "offsets" not in name)


@pytest.mark.parametrize("world", ["court", "plaza"])
@pytest.mark.parametrize("probe", PROBES)
def test_every_probe_gives_a_row(made_up_data, tmp_path, probe, world):
    metrics = shortcuts.measure(config_of(f"experiment={world}", f"probe={probe}"), tmp_path).metrics
    assert set(metrics) == set(load_table("social_groups", "shortcuts", "quick", ROOT).spec.metrics)
    if probe == "ceiling":
        assert metrics["activity_acc"] == metrics["membership_acc"] == 100
    if probe == "floor":
        assert metrics["activity_above_chance"] == metrics["membership_above_chance"] == 0


def test_the_cost_of_a_design(tmp_path):
    found = {
        name: cost.measure(config_of(f"model.self_attention={name}", "model.groups=5", *SMALL[2:3]), tmp_path).metrics
        for name in ("full", "inter_intra")
    }
    assert (found["full"]["pairs"], found["inter_intra"]["pairs"]) == (900, 330)
    assert found["full"]["tokens"] == 30
    assert found["inter_intra"]["attention_parameters"] == 2 * found["full"]["attention_parameters"]
    assert all(metrics["attention_s"] > 0 and metrics["step_s"] > metrics["attention_s"] for metrics in found.values())


def overfit(queries: str, attention: str, steps: int) -> float:
    """The share of four training scenes whose group is found whole and named right, after `steps` steps on them."""
    config = config_of(f"model.queries={queries}", f"model.self_attention={attention}", "training.learning_rate=0.002")
    scenes = generate(WORLDS["court"], 0, 4, range(4))
    batch = tensors(scenes, maps(scenes, TRAITS, (12, 20), 24, 0.0, (0,)))
    torch.manual_seed(0)
    model = SocialGroups(config.data, config.model)
    steps_of = optimiser(model, config.training)
    for _ in range(steps):
        steps_of.zero_grad()
        score(model, batch, weights=config.weights)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        steps_of.step()
    return scores(predict(model, batch[0]), batch[1], batch[3], batch[4], threshold=0.3)["gid_acc"]


@pytest.mark.slow
@pytest.mark.parametrize("queries", ["single", "independent", "sum", "split", "mlp"])
def test_every_design_of_the_queries_learns_four_scenes_by_heart(queries):
    assert overfit(queries, "inter_intra", 200) == 100


@pytest.mark.slow
@pytest.mark.parametrize("queries", ["location_only"])
def test_a_control_cannot_learn_even_four(queries):
    assert overfit(queries, "inter_intra", 200) < 100


def test_a_predicted_group_has_the_colour_of_the_true_one_it_is_like():
    true = [{"members": [0, 1, 2]}, {"members": [3, 4]}]
    predicted = [{"members": [3, 4, 5]}, {"members": [0, 1]}, {"members": [1, 2]}, {"members": [6]}]
    found = colours(true, predicted)
    assert found["true"] == GROUPS[:2]
    assert found["predicted"][:2] == [GROUPS[1], GROUPS[0]]
    # the third is like a true group that is taken, the last like none
    assert not {*found["predicted"][2:]} & {*found["true"]}
    assert len({*found["predicted"]}) == 4


def test_figures_are_drawn_from_results_and_are_nothing_without(made_up_data, tmp_path):
    assert all(make(Results([])) is None for make in FIGURES.values())
    measured = train(config_of("experiment=plaza", *SMALL), tmp_path)
    shown = {"exhibits": measured.exhibits, "metrics": measured.metrics}
    results = []
    for table, key in (("query_designs", {"queries": "sum"}), ("self_attention", {"self_attention": "inter_intra"})):
        row = Row(key, {"group_iou": Metric.of([1.0], "%")}, "ok", "", [0], ["one"])
        results.append(Result("social_groups", table, "quick", "", [DataUse("plaza", None, "")], [row], {"one": shown}))
    times = {"attention_s": Metric.of([0.1], "s"), "tokens": Metric.of([120.0], "")}
    row = Row({"self_attention": "full", "groups": 20, "slots": 6}, times, "ok", "", [0], ["one"])
    results.append(Result("social_groups", "cost", "quick", "", [], [row], {}))
    assert all(make(Results(results)) is not None for make in FIGURES.values())

"""Cells from data to metrics on a few made-up scenes, and designs that must or must not learn them by heart."""

import math

import numpy as np
import pytest
import torch

from projects.social_groups.analyses.shortcuts import WORLDS
from projects.social_groups.data.painting import maps, tensors
from projects.social_groups.models.decoder_attention import DESIGNS
from projects.social_groups.models.network import SocialGroups
from projects.social_groups.tasks.evaluation import predict, scores
from projects.social_groups.tasks.recognition import majority, parameter_groups, score, train
from regard_lab.data.crowds import TRAITS, generate
from regard_lab.data.scenes import Scenes
from regard_lab.experiment.tables import load_table
from regard_lab.training.recipe import optimiser
from tests.projects.social_groups.made_up import ROOT, SMALL, config_of


@pytest.mark.parametrize(
    ("data", "queries", "attention"),
    [
        ("court", "single", "inter_intra"),
        ("plaza", "sum", "group_means"),
        ("statsbomb", "sum", "full"),
        ("social_cad", "sum", "inter_intra"),
        ("volleyball", "single", "inter_intra"),
    ],
)
def test_a_cell_gives_what_its_table_lists_and_repeats_itself(made_up_data, tmp_path, data, queries, attention):
    table = {
        "court": "query_designs", "plaza": "self_attention", "statsbomb": "football", "social_cad": "collective_boxes",
        "volleyball": "volleyball_boxes",
    }[data]  # fmt: skip
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


def test_what_says_where_to_look_learns_ten_times_slower():
    config = config_of()
    model = SocialGroups(config.data, config.model)
    rest, slow = optimiser(parameter_groups(model, config.training), config.training).param_groups
    assert (rest["lr"], slow["lr"]) == (config.training.learning_rate, config.training.learning_rate / 10)
    attentions = [layer.cross.attention for layer in (*model.encoder.layers, *model.decoder.layers)]
    looking = [*model.reference.parameters(), *(p for one in attentions for p in one.offsets.parameters())]
    assert {id(p) for p in slow["params"]} == {id(p) for p in looking}
    assert len(rest["params"]) + len(slow["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_a_cell_trains_in_the_precision_of_its_recipe(made_up_data, tmp_path, precision):
    measured = train(config_of(f"training.precision={precision}", *SMALL), tmp_path)
    assert all(math.isfinite(value) for value in measured.metrics.values())


def test_the_paper_scale_runs_a_step(made_up_data):
    config = config_of("scale=paper", "training.batch_size=2")
    torch.manual_seed(0)
    model = SocialGroups(config.data, config.model)
    scenes = generate(WORLDS["court"], 0, 2, range(3))
    batch = tensors(scenes, maps(scenes, TRAITS, (12, 20), 24, 0.15, (0,)))
    loss = score(model, batch, weights=config.weights)["loss"]
    loss.backward()
    assert math.isfinite(loss.item())
    assert all(p.grad is not None for name, p in model.named_parameters() if "offsets" not in name)


def test_majority_is_judged_by_the_rule_of_the_accuracy():
    """Two groups of one size: either activity is right. The first group alone would say otherwise."""
    groups = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, -1]], dtype=np.int8)
    activities = np.array([[2, 1], [0, 1], [0, -1]], dtype=np.int8)
    nothing = np.zeros((3, 4, 4), np.int16), np.zeros((3, 4, 1), np.int16), np.zeros((3, 4), np.int8)
    train = Scenes(*nothing, groups, activities, np.zeros(3, np.int16))
    test = torch.tensor([[0, 0, 1, 1], [0, 0, -1, -1]]), torch.tensor([[2, 0], [0, -1]])
    assert (
        majority(train, *test, 3) == 100
    )  # activity 0 is as often right as 1, and the first of equals; 2 is the first scene's
    assert majority(train, test[0], torch.tensor([[2, 1], [0, -1]]), 3) == 50


def test_the_accuracy_of_a_batch_is_the_metric_of_that_name(made_up_data):
    config = config_of("experiment=plaza")
    torch.manual_seed(1)
    model = SocialGroups(config.data, config.model).eval()
    scenes = generate(WORLDS["plaza"], 0, 30, range(3))
    batch = tensors(scenes, maps(scenes, TRAITS, (12, 20), 24, 0.15, (0,)))
    for parameter in model.activity.parameters():
        torch.nn.init.normal_(parameter)
    with torch.no_grad():
        batch_accuracy = float(score(model, batch, weights=config.weights)["scene_acc"])
    metric = scores(predict(model, batch[0]), batch[1], batch[3], batch[4], threshold=0.3)["scene_acc"]
    assert 0 < metric < 100
    assert 100 * batch_accuracy == pytest.approx(metric, abs=1e-4)


def overfit(queries: str, attention: str, most: int = 600, scenes: int = 8) -> int | None:
    """After how many steps on a few noisy scenes the group of each is found whole and named right, looked at every 50; `None`: never."""
    config = config_of(
        "scale=laptop",
        f"model.queries={queries}",
        f"model.self_attention={attention}",
        "model.decoder_layers=2",
        "model.groups=3",
        "model.person_queries=12",
    )
    drawn = generate(WORLDS["court"], 0, scenes, range(4))
    batch = tensors(drawn, maps(drawn, TRAITS, (12, 20), 24, config.data.noise, (0,)))
    torch.manual_seed(0)
    model = SocialGroups(config.data, config.model)
    steps_of = optimiser(parameter_groups(model, config.training), config.training)
    for step in range(1, most + 1):
        model.train()
        steps_of.zero_grad()
        score(model, batch, weights=config.weights)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        steps_of.step()
        if step % 50 == 0:
            found = scores(predict(model, batch[0]), batch[1], batch[3], batch[4], threshold=0.3)["gid_acc"]
            if found == 100:
                return step
    return None


@pytest.mark.slow
@pytest.mark.parametrize("queries", ["single", "independent", "layout_only", "sum", "split", "mlp"])
def test_every_design_of_the_queries_learns_eight_noisy_scenes_by_heart(queries):
    assert overfit(queries, "inter_intra") is not None


@pytest.mark.slow
@pytest.mark.parametrize("attention", sorted({*DESIGNS} - {"inter_intra"}))
def test_every_design_of_self_attention_learns_eight_noisy_scenes_by_heart(attention):
    assert overfit("sum", attention) is not None


@pytest.mark.slow
def test_a_control_cannot_learn_even_eight():
    assert overfit("location_only", "inter_intra") is None

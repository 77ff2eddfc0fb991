"""Every config composes, passes its check and has what its table says; what cannot run is refused with the numbers."""

import functools
from dataclasses import replace

import pytest

from projects.better_attention.config import CONTROLS, FOUR, PROJECT, modules
from projects.better_attention.models import controls
from projects.better_attention.models.checks import check
from regard.registry import list_mechanisms
from regard_lab.common.errors import UserError
from regard_lab.evidence.paper import load_paper
from regard_lab.experiment.table_file import read_table
from regard_lab.experiment.tables import load_table
from tests.configs import ROOT, configs_of

SCALES = ("quick", "laptop", "paper")

config_of = configs_of(PROJECT, default="experiment=imdb")


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("table", PROJECT.tables(ROOT))
def test_every_config_composes_and_passes_its_check(table, scale):
    composed = load_table("better_attention", table, scale, ROOT, check=True)
    assert {cell.key["attention"] for cell in composed.cells} <= {*FOUR, *CONTROLS}
    assert len({cell.id for cell in composed.cells}) == len(composed.cells)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.norm=none", "model.norm must be 'pre' or 'post', got 'none'"),
        ("model.dropout=1.0", r"model.dropout must be less than 1, got 1.0"),
        ("training.optimiser=sgd", "must be 'adam', 'adamw' or 'rmsprop', got 'sgd'"),
        ("training.batch_size=0", "training.batch_size must be greater than 0, got 0"),
        ("training.epochs=0", "training.epochs must be greater than 0, got 0"),
        ("budget.train_examples=0", "budget.train_examples must be greater than 0, got 0"),
        ("data.vocabulary=2", "data.vocabulary must be greater than or equal to 3, got 2"),
        ("data.length=0", "data.length must be greater than 0, got 0"),
        ("data.target=stars", "data.target must be 'class', 'rating' or 'lookup', got 'stars'"),
        ("table=lm search.learning_rates=[]", "search.learning_rates"),
        ("table=lm language_model.rotary_base=1", "language_model.rotary_base must be greater than 1, got 1"),
        ("table=translation translation.beam=0", "translation.beam must be greater than 0, got 0"),
        (
            "table=translation translation.length_penalty=-1",
            "length_penalty must be greater than or equal to 0, got -1",
        ),
        ("table=inference inference.part=edge", "inference.part must be 'layer', .*'int8' or 'onnx', got 'edge'"),
        ("table=inference inference.seconds=0", "inference.seconds must be greater than 0, got 0"),
    ],
)
def test_a_value_out_of_its_bounds_is_refused(override, message):
    with pytest.raises(UserError, match=message):
        config_of(*override.split())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.attention=supre", "there is no mechanism 'supre'. Did you mean 'super'"),
        ("model.heads=5", "width = 32 and heads = 5"),
        ("model.pool=none", "an encoder needs model.pool: mean or flatten, got 'none'"),
        ("data.length=65537", "tokens must be at most 65,536, got 65,537"),
        ("data.length=null", "imdb needs a length, or an image_size and a patch"),
        ("experiment=mnist data.patch=5", "patch = 5 and image_size = 28"),
        ("experiment=mnist model.hidden=[128]", r"must end in the width 64, got \[128\]"),
        (
            "experiment=retrieval data.planted=null",
            "needs keys, planted, vocabulary and length, got 16, None, 2000 and 32",
        ),
        ("experiment=retrieval data.classes=3", "target: lookup has two classes, got 3"),
        ("experiment=retrieval data.vocabulary=432", "a vocabulary of 432 words has words for 10 keys, got 16"),
        ("experiment=retrieval data.planted=17", "must exceed neither keys nor length - 1, got 17, 16 and 32 - 1"),
        ("table=translation data.vocabulary=258", "data.vocabulary must be at least 259 .*, got 258"),
        ("table=translation data.length=1", "data.length must be at least 2"),
        ("table=translation translation.beam=2000", "must not exceed data.vocabulary, got 2000 and 1000"),
        ("table=translation model.heads=3", "width = 32 and heads = 3"),
        ("table=translation model.norm=pre", "norm: post and activation: relu, got 'pre' and 'relu'"),
        ("table=translation model.hidden=[8,8]", r"the one width of the feed-forward part, got \[8, 8\]"),
        ("table=translation model.attention=supre", "Did you mean 'super'"),
        ("table=lm data.vocabulary=200", "data.vocabulary must be at least 259 .*, got 200"),
        ("table=lm data.length=null", "must set vocabulary and length, got 512 and None"),
        ("table=lm model.width=34", "an even head width, got 34 / 2"),
        ("table=lm model.activation=relu", "norm: pre and activation: silu, got 'pre' and 'relu'"),
        ("table=inference model.heads=3", "width = 128 and heads = 3"),
        ("table=inference data.length=null", "data set imdb needs length and vocabulary, got None and 20000"),
    ],
)
def test_values_that_do_not_fit_each_other_are_refused_with_the_numbers(override, message):
    with pytest.raises(ValueError, match=message):
        check(config_of(*override.split()))


def test_what_is_trained_needs_a_recipe():
    config = config_of("experiment=imdb")
    with pytest.raises(ValueError, match="needs the section training"):
        check(replace(config, training=None))
    assert config_of("table=inference").training is None


def test_imagenet_at_paper_scale_is_distributed():
    training = config_of("experiment=imagenet", "scale=paper").training
    assert (training.devices, training.strategy) == (4, "ddp")
    assert config_of("experiment=imagenet").training.devices == 1


def test_the_names_of_controls_are_known_without_torch_and_are_no_mechanisms_of_the_library():
    assert tuple(controls.CONTROLS) == CONTROLS
    assert not set(CONTROLS) & set(list_mechanisms())
    assert modules(config_of("model.attention=mixer")) == ["projects.better_attention.models.controls@mixer"]
    assert modules(config_of("model.attention=super")) == ["regard.mechanisms.super"]


def test_a_cell_of_inference_depends_on_all_four():
    assert modules(config_of("table=inference")) == [f"regard.mechanisms.{name}" for name in FOUR]
    cells = load_table("better_attention", "inference", "quick", ROOT, check=True).cells
    assert len({cell.id for cell in cells}) == len(cells) == 20


@pytest.mark.parametrize(("scale", "sizes"), [("quick", 5), ("laptop", 21), ("paper", 27)])
def test_every_size_is_timed_with_each_mechanism(scale, sizes):
    rows = read_table(ROOT / "projects" / "better_attention", "inference").to_run().rows[scale]
    assert [row["attention"] for row in rows] == list(FOUR) * sizes
    assert any(row["part"] == "layer_gpu" for row in rows) == (scale == "paper")


@functools.cache
def laptop_cells(table):
    return load_table("better_attention", table, "laptop", ROOT).cells


@pytest.mark.parametrize("table", ["ablation_heads", "ablation_width", "ablation_length", "controls_text"])
def test_rows_of_a_table_have_one_budget_and_differ_as_they_say(table):
    cells = laptop_cells(table)
    budgets = {(cell.config["training"]["epochs"], cell.config["budget"]["train_examples"]) for cell in cells}
    assert budgets == {(3, 6000)}
    assert all(cell.config["model"]["hidden"] == [cell.config["model"]["width"]] for cell in cells)
    base = [
        cell.config
        for cell in cells
        if cell.config["model"]["attention"] == "super"
        and (cell.config["model"]["width"], cell.config["model"]["heads"], cell.config["data"]["length"]) == (32, 4, 32)
    ]
    assert len(base) == 5
    assert all(config in [cell.config for cell in laptop_cells("ablation_heads")] for config in base)


def test_only_imdb_has_a_published_number():
    paper = load_paper(ROOT / "projects/better_attention")
    for name, table in paper.tables.items():
        known = [value for row in table.rows for value in row.values.values() if value is not None]
        assert bool(known) == (name == "imdb"), name

"""What the algebra says: where folding is exact, what a layer holds and multiplies, when Super pays; and the trap of padding in a trained model."""

import copy
import functools
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from projects.better_attention import counts, once, padding
from projects.better_attention import data as project_data
from projects.better_attention.config import PROJECT
from projects.better_attention.folding import folded, folded_model, folding_error
from projects.better_attention.learning import fitted
from projects.better_attention.model import Encoder, attention_class, check
from projects.better_attention.train import train
from regard import cost
from regard.registry import build
from regard_lab.common.files import read_json
from regard_lab.evidence.paper import load_paper
from regard_lab.experiment.tables import load_table
from tests.configs import configs_of

ROOT = Path(__file__).resolve().parents[3]
FOLDED = ("optimised", "efficient", "super")
FOUR = ("softmax", *FOLDED)


config_of = configs_of(PROJECT, default="experiment=imdb")


@pytest.mark.parametrize("attention", FOLDED)
def test_folding_is_exact_with_one_head_and_not_with_more(attention):
    sizes = {"width": 12, "length": 7, "seed": 0}
    assert folding_error(attention, heads=1, **sizes) < 1e-12
    assert folding_error(attention, heads=3, **sizes) > 0.1
    assert folding_error("softmax", heads=3, **sizes) == 0


def test_folding_by_hand():
    """Width 1: softmax((2x + 1)(3x)) (5x + 7) 11 + 13 is softmax((6x + 3) x) 55x + 77 + 13."""
    standard = build("softmax", width=1, heads=1).double()
    values = {"query": (2, 1), "key": (3, 17), "value": (5, 7), "output": (11, 13)}
    state = {f"{name}.weight": torch.tensor([[float(w)]]) for name, (w, _) in values.items()}
    standard.load_state_dict(state | {f"{name}.bias": torch.tensor([float(b)]) for name, (_, b) in values.items()})
    found = {name: float(value.detach()) for name, value in folded(standard, "efficient", 2).named_parameters()}
    assert found == {"query.weight": 6, "query.bias": 3, "output.weight": 55, "output.bias": 90}


@pytest.mark.parametrize("attention", FOLDED)
def test_a_trained_model_of_one_head_is_folded_without_loss(made_up_texts, tmp_path, attention, monkeypatch):
    config = config_of("model.heads=1", "budget.epochs=2", "training.batch_size=8", "training.learning_rate=0.01")
    kept = []
    monkeypatch.setattr("projects.better_attention.train.fitted", lambda *a: kept.append(done := fitted(*a)) or done)
    train(config, tmp_path)
    model, tokens = kept[0].model.double().eval(), kept[0].test[0]
    expected = model(tokens)
    assert float(expected.detach().std()) > 0.01
    torch.testing.assert_close(folded_model(model, attention).eval()(tokens), expected, rtol=0, atol=1e-9)
    several = copy.deepcopy(model)
    several.blocks[0].attention.heads = 4  # the same maps read as those of four heads
    difference = folded_model(several, attention).eval()(tokens) - several(tokens)
    assert float(difference.abs().max()) > 1e-4


def test_products_are_counted_in_a_real_pass():
    """Width 8, 2 heads, 3 tokens: four maps of 2 · 3 · 8 · 8, and Q Kᵀ and S V of 2 · 2 · 3 · 3 · 4 each."""
    counted = counts.products(counts.layer_of("softmax", 8, 3, 2), 3)
    assert (counted.count, counted.flops) == (6, 4 * 384 + 2 * 144)
    for name in (
        "optimised",
        "efficient",
        "super",
        "mixer",
        "uniform_mixed",
        "softmax_mixed",
        "super_per_head",
        "orthogonal",
    ):
        options = {} if name in ("optimised", "efficient", "orthogonal") else {"length": 3}
        with torch.device("meta"):
            layer = attention_class(name)(width=8, heads=2, **options)
        assert counts.products(layer, 3).flops == cost.flops(type(layer), width=8, heads=2, n=3)


@pytest.mark.parametrize(("attention", "matmuls"), list(zip(FOUR, (5, 4, 3, 4), strict=True)))
def test_counts_of_the_paper(attention, matmuls, tmp_path):
    config = config_of("table=counts", f"model.attention={attention}", "model.width=256", "data.length=144")
    metrics = counts.count(config, tmp_path).metrics
    assert metrics["matmuls_per_head"] == matmuls
    assert metrics["parameters"] == dict(zip(FOUR, (263168, 197376, 131584, 152464), strict=True))[attention]
    ratio = dict(zip(FOUR, (1, 0.805, 0.610, 0.720), strict=True))[attention]
    assert metrics["flop_ratio"] == pytest.approx(ratio, abs=5e-4)


@pytest.mark.parametrize("width", [32, 64])
def test_break_even(width, tmp_path):
    metrics = counts.break_even(config_of("model.attention=super", f"model.width={width}"), tmp_path).metrics
    assert metrics == {"longest_parameters": math.floor(2**0.5 * width), "longest_flops": 2 * width - 1}


def test_the_last_true():
    for last in range(6):
        assert counts.last_true(lambda length, last=last: length <= last, 5) == last


@pytest.fixture
def made_up_texts(monkeypatch, tmp_path):
    """Texts of one to six words, the last of which says the class."""

    def texts(n):
        labels = np.arange(n) % 2
        said = ["so " * (k % 6) + ("good" if label else "bad") for k, label in enumerate(labels)]
        return SimpleNamespace(texts=said, labels=labels)

    def load(name, root, source):
        sizes = {"train": 64, "validation": 20, "test": 30}
        part = "amazon_" if name == "rated_sentences" else ""
        return {f"{part}{split}": texts(n) for split, n in sizes.items()}

    monkeypatch.setattr(project_data.data, "load", load)
    project_data._encoded.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield
    project_data._encoded.cache_clear()


def test_a_cell_of_several_tables_is_trained_once(made_up_texts, tmp_path, monkeypatch):
    monkeypatch.setattr(once, "artefact", _made_in(tmp_path, calls := []))
    cut = ("budget.epochs=1", "budget.train_examples=16", "model.attention=super")
    heads = once.ablate(config_of("table=ablation_heads", *cut), tmp_path / "a")
    length = once.ablate(config_of("table=ablation_length", *cut), tmp_path / "b")
    control = once.measure(config_of("table=controls_text", *cut), tmp_path / "c")
    assert len(calls) == 3
    assert len(set(calls)) == 1
    assert heads == length
    assert heads.metrics == control.metrics | {
        "flop_ratio": pytest.approx(0.833, abs=1e-3),
        "folding_error": folding_error("super", width=32, heads=4, length=32, seed=0),
    }
    assert not list(tmp_path.rglob("*.ckpt"))


def _made_in(root, calls):
    """In place of `artefact`: one folder a config, and what was asked for."""

    def made(make, config, data_sets, *, source, root, modules):
        calls.append((make, repr(config), tuple(data_sets), source, tuple(modules)))
        folder = root / f"made{len(set(calls))}"
        if not folder.exists():
            folder.mkdir()
            make(config, folder)
            assert set(read_json(folder / once.MEASURED)) == {"metrics", "curves"}
        return folder

    return made


@functools.cache
def laptop_cells(table):
    return load_table("better_attention", table, "laptop", ROOT).cells


@pytest.mark.parametrize("table", ["ablation_heads", "ablation_width", "ablation_length", "controls_text"])
def test_rows_of_a_table_have_one_budget_and_differ_as_they_say(table):
    cells = laptop_cells(table)
    assert {(cell.config["budget"]["epochs"], cell.config["budget"]["train_examples"]) for cell in cells} == {(3, 6000)}
    assert all(cell.config["model"]["hidden"] == [cell.config["model"]["width"]] for cell in cells)
    base = [
        cell.config
        for cell in cells
        if cell.config["model"]["attention"] == "super"
        and (cell.config["model"]["width"], cell.config["model"]["heads"], cell.config["data"]["length"]) == (32, 4, 32)
    ]
    assert len(base) == 5
    assert all(config in [cell.config for cell in laptop_cells("ablation_heads")] for config in base)


@pytest.mark.parametrize("attention", ["softmax", "super", "super_unmasked"])
def test_padding_cell(made_up_texts, tmp_path, attention):
    cut = ("budget.epochs=2", "training.batch_size=8", "data.length=6")
    config = config_of("table=padding", f"model.attention={attention}", *cut)
    metrics = padding.measure(config, tmp_path).metrics
    assert metrics["padded_texts"] == pytest.approx(100 * 25 / 30)
    if attention != "super_unmasked":
        assert metrics["changed_predictions"] == 0
        assert metrics["test_accuracy"] == metrics["unpadded_test_accuracy"]


def test_padding_changes_what_the_trap_says():
    """Whatever its weights, at some threshold: here the logits themselves."""
    for attention, changes in (("super", False), ("super_unmasked", True)):
        config = config_of(f"model.attention={attention}", "data.length=6")
        torch.manual_seed(0)
        model = Encoder(config.data, config.model).eval()
        with torch.no_grad():
            model.embedding.weight.mul_(20)  # away from the flat start
        tokens = torch.zeros(1, 6, dtype=torch.int64)
        tokens[0, :3] = torch.tensor([5, 6, 7])
        with torch.no_grad():
            difference = float((model(tokens) - model(tokens[:, :3])).abs())
        assert (difference > 1e-4) == changes


def test_each_text_is_read_without_its_padding(monkeypatch):
    """Lengths 2, 0 and 3: each text goes to the model cut to its own words, one without any as one token."""
    tokens = torch.tensor([[4, 5, 0], [0, 0, 0], [4, 5, 6]])
    asked = []

    def positive(model, part):
        asked.append(part.tolist())
        return torch.full((len(part),), part.shape[1] == 3)

    monkeypatch.setattr(padding, "positive", positive)
    assert padding.positive_unpadded(torch.nn.Identity(), tokens).tolist() == [False, False, True]
    assert sorted(asked) == [[[0]], [[4, 5]], [[4, 5, 6]]]


def test_only_imdb_has_a_published_number():
    paper = load_paper(ROOT / "projects/better_attention")
    for name, table in paper.tables.items():
        known = [value for row in table.rows for value in row.values.values() if value is not None]
        assert bool(known) == (name == "imdb"), name


def test_a_config_of_another_target_is_refused():
    config = config_of("experiment=amazon")
    with pytest.raises(ValueError, match=r"data\.target must be one of class, rating, got 'stars'"):
        check(replace(config, data=replace(config.data, target="stars")))

"""The figures draw what results hold: by hand on made-up ones, and nothing where there are none."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from projects.better_attention.analyses.attention_maps import packed
from projects.better_attention.config import FOUR
from projects.better_attention.figures import FIGURES
from projects.better_attention.figures.cost_benefit import CONTROL_TABLES, TABLES, Quality, gain_of, should_i_use_it
from regard_lab.common import images
from regard_lab.experiment.results import Curve, DataUse, Metric, Result, Row
from regard_lab.report.figures import Results, svg


def row(key, metrics, cells=()):
    values = {name: Metric.of(list(per_seed), "%") for name, per_seed in metrics.items()}
    seeds = list(range(len(next(iter(metrics.values())))))
    return Row(key=key, metrics=values, status="ok", reason="", seeds=seeds, cells=list(cells))


def result(table, rows, scale="laptop", data="imdb", records=None):
    return Result("better_attention", table, scale, "f", [DataUse(data, None, "s")], rows, records or {})


def quality(name, better=1.0, cost=1.0):
    metrics = {
        "test_accuracy": (80 * better, 82 * better, 84 * better),
        "attention_parameters": (100 * cost,) * 3,
        "latency_ms": (2 * cost,) * 3,
    }
    return row({"attention": name}, metrics)


def points(axes):
    """The centres of the error bars, by colour."""
    return {
        container.lines[0].get_color(): (
            float(container.lines[0].get_xdata()[0]),
            float(container.lines[0].get_ydata()[0]),
        )
        for container in axes.containers
    }


def test_gains_by_hand():
    ours, standard = quality("super", better=1.1), quality("softmax")
    assert gain_of(Quality("t", "test_accuracy", True, "o"), ours, standard) == pytest.approx((10, 0))
    gain, _ = gain_of(Quality("t", "test_accuracy", False, "o"), ours, standard)
    assert gain == pytest.approx(-10)
    some = row({"attention": "super"}, {"test_accuracy": (88.0, 82.0)})  # +10 % and 0 % on the seeds that both have
    assert gain_of(Quality("t", "test_accuracy", True, "o"), some, standard) == pytest.approx((5, 5))


def test_the_verdict_puts_every_row_in_its_place():
    found = result("imdb", [quality("softmax"), quality("super", 1.1, 0.75), quality("efficient", 0.9, 0.5)])
    controls = result("controls_text", [quality("softmax"), quality("mixer", 0.5, 0.25)])
    figure = should_i_use_it(Results([found, controls]))
    assert len(figure.axes) == 4
    for axes in figure.axes[:2]:
        assert sorted(points(axes).values()) == [pytest.approx((0.5, -10)), pytest.approx((0.75, 10))]
    assert list(points(figure.axes[2]).values()) == [pytest.approx((0.25, -50))]
    assert svg(figure) == svg(should_i_use_it(Results([found, controls])))


def test_mechanics_do_not_stand_beside_evidence():
    rows = [quality("softmax"), quality("super", 1.1)]
    laptop, quick = result("imdb", rows), result("cifar", rows, scale="quick", data="cifar10")
    figure = should_i_use_it(Results([laptop, quick]))
    assert [len(axes.containers) for axes in figure.axes] == [1, 1]
    assert "evidence" not in figure.axes[0].get_title(loc="left")
    alone = should_i_use_it(Results([quick]))
    assert "mechanics, not evidence" in alone.axes[0].get_title(loc="left")


def test_a_table_without_times_is_in_the_panel_of_parameters_alone():
    rows = [row({"attention": name}, {"bleu": (30.0, 31.0), "attention_parameters": (9.0, 9.0)}) for name in FOUR]
    figure = should_i_use_it(Results([result("translation", rows)]))
    assert [len(axes.containers) for axes in figure.axes] == [3, 0]


def test_the_tables_of_the_verdict_have_markers_of_their_own():
    for tables in (TABLES, CONTROL_TABLES):
        assert len({quality.marker for quality in tables}) == len(tables)


def ablation(what, values):
    rows = [
        row({"attention": name, what: value}, {"test_accuracy": (70.0 + value / 10, 71.0 + value / 10)})
        for value in values
        for name in FOUR
    ]
    return result(f"ablation_{what}", rows)


def test_ablations_are_lines_over_what_is_ablated():
    figure = FIGURES["ablations"](Results([ablation("heads", (1, 2)), ablation("length", (16, 32, 64))]))
    assert [axes.get_xlabel() for axes in figure.axes] == ["heads", "length"]
    first = figure.axes[1].lines[0]
    assert first.get_xdata().tolist() == [16, 32, 64]
    assert first.get_ydata().tolist() == pytest.approx([72.1, 73.7, 76.9])


def maps(inputs):
    """Exhibits of both mechanisms whose matrices say who made them."""
    records, rows = {}, []
    for number, attention in enumerate(("softmax", "super")):
        weights, mixed = torch.full((4, 4), 0.25), torch.eye(4) - 0.5
        mixed[0, 0], mixed[1, 0] = number - 5.0, 0.25
        left = [{**one, "weights": packed(weights), "effective": packed(mixed)} for one in inputs]
        records[f"{attention}-seed0"] = {"exhibits": {"attention_maps": left}}
        records[f"{attention}-seed1"] = {"exhibits": {}}
        cells = [f"{attention}-seed0", f"{attention}-seed1"]
        rows.append(row({"attention": attention}, {"test_accuracy": (70.0, 71.0)}, cells))
    return rows, records


def test_digits_and_their_maps():
    digit = images.encode(np.arange(16, dtype=np.uint8).reshape(4, 4))
    rows, records = maps([{"picture": digit}, {"picture": digit}])
    figure = FIGURES["digit_maps"](Results([result("mnist", rows, data="mnist", records=records)]))
    assert len(figure.axes) == 8
    assert figure.axes[0].images[0].get_array().shape == (4, 4)
    effective = figure.axes[3].images[0].get_array()
    # the mean over queries of Super's W^A map, patches in rows of two: (−4 + 0.25 − 2 · 0.5) / 4, then (0.5 − 3 · 0.5) / 4
    assert effective.tolist()[0] == pytest.approx([-1.1875, -0.25], abs=0.02)
    assert figure.axes[3].images[0].norm.vmin == -figure.axes[3].images[0].norm.vmax


def test_a_review_and_its_maps():
    rows, records = maps([{"words": ["not", "bad", "at", "all"]}])
    figure = FIGURES["review_maps"](Results([result("imdb", rows, records=records)]))
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["not", "bad", "at", "all"]
    assert [text.get_text() for text in figure.axes[2].get_xticklabels()] == ["not", "bad", "at", "all"]
    assert figure.axes[2].images[0].get_array()[0, 0] == pytest.approx(-4, abs=0.02)


@pytest.mark.parametrize("name", FIGURES)
def test_nothing_is_drawn_of_nothing(name):
    assert FIGURES[name](Results([])) is None


def test_no_maps_without_exhibits():
    old = result("mnist", [quality(name) for name in FOUR], data="mnist")
    assert FIGURES["digit_maps"](Results([old])) is None
    assert FIGURES["review_maps"](Results([result("imdb", [quality("softmax")])])) is None


def test_each_dot_and_curve_is_a_row_of_its_table():
    rows = [quality(name) for name in FOUR]
    for name, table, data in (
        ("imdb_accuracy", "imdb", "imdb"),
        ("retrieval_accuracy", "retrieval", "imdb"),
        ("mnist_accuracy", "mnist", "mnist"),
        ("controls_text", "controls_text", "imdb"),
        ("controls_vision", "controls_vision", "fashion_mnist"),
    ):
        axes = FIGURES[name](Results([result(table, rows, data=data)])).axes[0]
        dots = [line.get_xdata() for line in axes.lines if line.get_marker() == "o"]
        assert [list(values) for values in dots] == [[80.0, 82.0, 84.0]] * len(FOUR)


def test_training_is_drawn_by_epoch():
    curves = {"validation_accuracy": Curve("%", [[50.0, 60.0], [54.0, 64.0]])}
    for name in ("imdb", "retrieval", "mnist"):
        rows = [replace(quality(attention), curves=curves) for attention in FOUR]
        axes = FIGURES[f"{name}_training"](Results([result(name, rows, data=name)])).axes[0]
        assert axes.lines[0].get_ydata().tolist() == [52.0, 62.0]


def test_translations_stand_beneath_each_other():
    sentences = [{"source": f"one {n}", "reference": f"uno {n}", "greedy": "no", "beam": f"un {n} $"} for n in (1, 2)]
    signed = {"bleu": "case:mixed", "chrf": "nc:6"}
    exhibits = {"sentences": sentences, "signatures": signed, "pairs": {"train": 1234, "test": 56}}
    rows = [row({"attention": name}, {"bleu": (30.0, 31.0)}, [f"{name}-seed0", f"{name}-seed1"]) for name in FOUR]
    records = {f"{name}-seed0": {"exhibits": exhibits} for name in FOUR[:2]}
    drawn = result("translation", rows, data="libreoffice_help", records=records)
    texts = [text.get_text() for text in FIGURES["translations"](Results([drawn])).texts]
    assert texts[:8] == ["source", "one 1", "reference", "uno 1", "softmax", r"un 1 \$", "optimised", r"un 1 \$"]
    assert "trained on 1,234 pairs, scored on 56" in texts[-3]
    assert texts[-2:] == ["BLEU case:mixed", "chrF nc:6"]
    assert FIGURES["translations"](Results([result("translation", rows)])) is None
    assert len(FIGURES["translation_bleu"](Results([drawn])).axes[0].lines) >= len(FOUR)


def test_perplexity_is_drawn_over_the_cache():
    rows = [
        row({"attention": name}, {"cache_bytes": (cache,) * 2, "test_perplexity": (50.0, 60.0)})
        for name, cache in zip(FOUR, (256.0, 256.0, 128.0, 256.0), strict=True)
    ]
    axes = FIGURES["lm_cache"](Results([result("lm", rows, data="austen")])).axes[0]
    assert [line.get_xdata().tolist() for line in axes.lines[1::2]] == [[256.0], [256.0], [128.0], [256.0]]
    assert [line.get_ydata().tolist() for line in axes.lines[::2]] == [[50.0, 60.0]] * 4
    assert axes.get_xlim() == (0, pytest.approx(1.15 * 256))


def test_speed_is_drawn_beside_what_the_flops_predict():
    rows = [
        row(
            {"attention": name, "part": part, "batch": 1, "length": length, "width": width},
            {"speedup": (length / 32, length / 32), "flop_ratio": (0.5, 0.5)},
        )
        for name in FOUR
        for part in ("layer", "int8")
        for length in (512, 32)
        for width in (128, 32)
    ]
    figure = FIGURES["inference_speed"](Results([result("inference", rows, data="imdb")]))
    assert [axes.get_title() for axes in figure.axes] == ["layer, batch 1", "model, int8, batch 1"]
    measured, predicted = figure.axes[0].lines[:2]
    assert (measured.get_xdata().tolist(), measured.get_ydata().tolist()) == ([32, 512], [1, 16])
    assert predicted.get_ydata().tolist() == [2, 2]

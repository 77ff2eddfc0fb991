"""Tables `speed` and `memory`: configs, what is timed, the formulas; clocks and peaks are not asserted."""

import pytest
import torch

from projects.smyrf.analyses import memory, speed
from projects.smyrf.analyses.memory import released_floats
from projects.smyrf.analyses.speed import TimingRun, calls_of, in_turns
from projects.smyrf.checks import check
from projects.smyrf.config import PROJECT, Config
from projects.smyrf.figures.speed import FIGURES
from regard.bench.memory import Peak
from regard_lab.evidence.paper import load_paper
from regard_lab.experiment.composition import compose
from regard_lab.experiment.config import typed
from regard_lab.experiment.results import Metric, Result, Row
from regard_lab.experiment.tables import load_table
from regard_lab.report.figures import Results
from tests.paths import ROOT

SMALL = ("speed.width=16", "speed.heads=2", "speed.tokens=32", "speed.rounds=1", "speed.enough_s=0.0")


def config_of(table: str, *overrides: str) -> Config:
    return typed(Config, compose(PROJECT, ROOT, [f"table={table}", *overrides]).config)


@pytest.mark.parametrize("table", ["speed", "memory"])
@pytest.mark.parametrize("scale", ["quick", "laptop", "paper"])
def test_every_row_can_run(table, scale):
    loaded = load_table("smyrf", table, scale, ROOT)
    assert loaded.spec.workers == 1
    for cells in loaded.rows:
        row, config = cells[0].key, typed(Config, cells[0].config)
        check(config)
        if scale != "quick":
            assert (config.speed.width, config.speed.heads) == ((64, 1) if row.get("part") == "layer" else (768, 12))


def test_the_published_figure_is_whole():
    """Twelve settings and dense attention at three lengths; its speed-ups are those of its seconds."""
    rows = load_paper(ROOT / "projects" / "smyrf").tables["speed"].rows
    known = [row for row in rows if row.values["time_s"] is not None]
    assert len(known) == 3 * 13
    dense = {row.key["tokens"]: row.values["time_s"] for row in known if row.key["attention"] == "softmax"}
    assert len(dense) == 3
    for row in known:
        if row.key["attention"] != "softmax":
            assert dense[row.key["tokens"]] / row.values["time_s"] == pytest.approx(row.values["speedup"], abs=1e-3)


def test_calls_take_turns_until_each_has_enough():
    order = []

    def timed(call):
        order.append(call())
        return {"slow": 2.0, "fast": 0.5}[order[-1]]

    found = in_turns({"slow": lambda: "slow", "fast": lambda: "fast"}, rounds=3, enough_s=1.2, timed=timed)
    assert order == ["slow", "fast", "fast", "fast"]
    assert found == {"slow": [2.0], "fast": [0.5, 0.5, 0.5]}


@pytest.mark.parametrize("part", ["bert", "layer"])
@pytest.mark.parametrize("backward", [False, True])
def test_what_is_timed_is_the_same_layer_with_other_attention(part, backward):
    """In one cluster SMYRF is dense attention, so the outputs, and the gradients of input and weights, are too."""
    config = config_of(
        "speed", *SMALL, f"speed.part={part}", f"speed.backward={str(backward).lower()}", "speed.grid=[[1,32],[2,4]]"
    )
    calls = calls_of(TimingRun(config.speed, seed=3))
    assert list(calls) == ["dense", "1x32", "2x4"]
    made = {name: call() for name, call in calls.items()}
    made = {name: list(one) if backward else [one] for name, one in made.items()}
    for dense, one_cluster in zip(made["dense"], made["1x32"], strict=True):
        assert torch.allclose(dense, one_cluster, atol=1e-5)
    assert any(
        not torch.allclose(dense, other, atol=1e-4) for dense, other in zip(made["dense"], made["2x4"], strict=True)
    )
    assert made["dense"][0].shape == (1, 32, 16)


@pytest.mark.parametrize("scale", ["quick", "laptop", "paper"])
@pytest.mark.parametrize("part", ["bert", "bert_training", "layer"])
def test_a_run_times_every_setting_of_its_grid(part, scale, monkeypatch, tmp_path):
    """The clock is stopped: what runs is each pass once."""
    monkeypatch.setattr(speed, "elapsed_s", lambda call: call() is None or 1.0)
    monkeypatch.setattr(speed.in_turns, "__defaults__", (lambda call: call() is None or 1.0,))
    config = config_of("speed", f"scale={scale}", f"experiment=speed_{part}", *SMALL[:3], "speed.rounds=1")
    speed.time_all(TimingRun(config.speed, seed=0), tmp_path)
    made = speed.files.read_json(tmp_path / speed.TIMES)
    assert set(made) == {"dense", *(speed.name_of(*pair) for pair in config.speed.grid)}
    assert len(made) == {"bert": 13, "bert_training": 3, "layer": 3}[part]


def test_a_speed_cell_reads_the_run_that_its_size_shares(monkeypatch, tmp_path):
    made = []

    def artefact(make, config, data_sets, *, source, root, modules=()):
        make(config, tmp_path)
        made.append(config)
        speed.files.write_json(tmp_path / speed.TIMES, {"dense": 4.0, "2x32": 1.6})
        return tmp_path

    monkeypatch.setattr(speed, "artefact", artefact)
    config = config_of("speed", *SMALL, "speed.tokens=80")
    metrics = speed.measure(config, tmp_path).metrics
    assert metrics == {"time_s": 1.6, "speedup": 2.5, "score_memory": 80.0}
    dense = speed.measure(config_of("speed", *SMALL, "speed.tokens=80", "attention.name=softmax"), tmp_path).metrics
    assert dense == {"time_s": 4.0, "speedup": 1.0, "score_memory": 100.0}
    assert made[0] == made[1]


def test_floats_of_the_released_form_by_the_sheet():
    for n, rounds, size, ratio, digits in [(128, 2, 32, 3.0, 1), (512, 8, 32, 2.6, 1), (4096, 2, 32, 0.09, 2)]:
        assert round(released_floats(n, 64, rounds, size) / (2 * n**2), digits) == ratio


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_a_memory_cell(scale, monkeypatch, tmp_path):
    measured = []

    def fresh(case, threads):
        measured.append(case)
        return Peak({"softmax": 40.0, "smyrf": 10.0}[case.mechanism], 500.0)

    monkeypatch.setattr(memory, "in_a_fresh_process", fresh)
    memory.peak_of.cache_clear()
    metrics = memory.measure(config_of("memory", "speed.tokens=128", f"scale={scale}"), tmp_path).metrics
    assert metrics["peak_mib"] == 10.0
    assert metrics["fused_ratio"] == 0.25
    assert metrics["score_memory"] == 50.0
    own, fused = measured
    assert (own.batch, own.n, own.heads, own.head_width, own.options) == (32, 128, 12, 64, "rounds=2 cluster_size=32")
    assert (fused.mechanism, fused.form, fused.batch, fused.options) == ("softmax", "library", 32, "")
    memory.measure(config_of("memory", "attention.name=softmax", "speed.kernel=unfused", f"scale={scale}"), tmp_path)
    assert measured[2].form == "plain"
    monkeypatch.setattr(memory, "in_a_fresh_process", lambda case, threads: "the process was ended by signal 9")
    memory.peak_of.cache_clear()
    with pytest.raises(
        RuntimeError, match=r"no peak of smyrf layer .* at 128 tokens: the process was ended by signal 9"
    ):
        memory.measure(config_of("memory", "speed.tokens=128"), tmp_path)
    memory.peak_of.cache_clear()


def test_figures_draw_what_there_is():
    assert all(make(Results([])) is None for make in FIGURES.values())
    results = []
    for table, metric in (("speed", "time_s"), ("memory", "peak_mib")):
        rows = [
            Row(row.key, {metric: Metric.of([0.001 * row.key["tokens"]], "")}, "ok", "", [0], ["a"])
            for row in load_paper(ROOT / "projects" / "smyrf").tables[table].rows
        ]
        results.append(Result("smyrf", table, "laptop", "", [], rows))
    drawn = {name: make(Results(results)) for name, make in FIGURES.items()}
    assert [axes.get_title() for axes in drawn["speed"].axes] == [
        "a BERT layer, forward",
        "a BERT layer, forward and backward",
    ]
    assert [len(axes.lines) for axes in drawn["speed"].axes] == [13, 3]
    assert [len(axes.lines) for axes in drawn["memory"].axes] == [4]
    assert len(drawn["speed"].axes[-1].get_legend().get_texts()) == 13

"""Inference: turns under a clock of our own, FLOPs against torch's counter, int8 maps, a fresh process, the rows, and a cell of each part."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from projects.better_attention import edge, inference
from projects.better_attention.check import check
from projects.better_attention.edge import quantised
from projects.better_attention.fresh import in_a_fresh_process
from projects.better_attention.inference import Run, built, file_mib, flops_of, held_mib, in_turns, inputs
from projects.better_attention.project import FOUR, PROJECT, modules
from regard.attention import Attention
from regard_lab.common.errors import UserError
from regard_lab.experiment.table_file import read_table
from regard_lab.experiment.tables import load_table
from tests.configs import configs_of

ROOT = Path(__file__).resolve().parents[3]
SMALL = [
    "data.vocabulary=50",
    "data.length=6",
    "model.width=8",
    "model.heads=2",
    "model.hidden=[12]",
    "inference.batch=2",
]


config_of = configs_of(PROJECT, default="table=inference")


def run_of(*overrides: str) -> Run:
    config = config_of(*SMALL, *overrides)
    return Run(config.data, config.model, config.inference, 2, 0)


@pytest.mark.parametrize(("scale", "sizes"), [("quick", 5), ("laptop", 21), ("paper", 27)])
def test_every_size_is_timed_with_each_mechanism(scale, sizes):
    rows = read_table(ROOT / "projects" / "better_attention", "inference").to_run().rows[scale]
    assert [row["attention"] for row in rows] == list(FOUR) * sizes
    assert any(row["part"] == "layer_gpu" for row in rows) == (scale == "paper")


def test_a_cell_of_inference_hangs_on_all_four():
    assert modules(config_of()) == [f"regard.mechanisms.{name}" for name in FOUR]
    cells = load_table("better_attention", "inference", "quick", ROOT, check=True).cells
    assert len({cell.id for cell in cells}) == len(cells) == 20


def test_turns_go_round_and_each_keeps_its_least():
    order, clock = [], {"a": [0.5, 0.3, 0.9], "b": [0.2, 0.4, 0.1]}

    def timed(call):
        order.append(call() or "round")
        return clock["a" if len(order) % 2 else "b"][(len(order) - 1) // 2]

    calls = {"a": lambda: None, "b": lambda: None}
    assert in_turns(calls, 3, 10.0, timed) == {"a": 0.3, "b": 0.1}
    assert len(order) == 6
    order.clear()
    assert in_turns(calls, 3, 0.8, timed) == {
        "a": 0.3,
        "b": 0.2,
    }  # 0.7 s are spent after the first round, 1.4 after the second
    order.clear()
    assert in_turns(calls, 1, 10.0, timed) == {"a": 0.5, "b": 0.2}


def test_short_calls_are_timed_many_at_a_time():
    counts = {"a": 0}

    def call():
        counts["a"] += 1

    def timed(call):
        before = counts["a"]
        call()
        return 0.001 * (counts["a"] - before)

    assert in_turns({"a": call}, 3, 10.0, timed) == {"a": pytest.approx(0.001)}
    assert counts["a"] == 1 + 3 * 10  # 10 ms hold ten calls


@pytest.mark.parametrize("attention", FOUR)
@pytest.mark.parametrize("part", ["layer", "model"])
def test_flops_are_those_that_torch_counts(attention, part):
    run = run_of(f"inference.part={part}", "inference.batch=1").of(attention)
    subject = built(run)
    for layer in subject.modules():
        if isinstance(layer, Attention):
            plain(layer)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        subject(inputs(run))
    assert counter.get_total_flops() == flops_of(run)


def plain(layer: Attention) -> None:
    """Matrix products in the open, W^A V among them: torch counts nothing inside the fused kernel of a CPU."""

    def mix(q, k, v, key_mask):
        if hasattr(layer, "mixing"):
            v = (layer.mixing.weight @ v.transpose(1, 2).flatten(2)).unflatten(2, (layer.heads, -1)).transpose(1, 2)
        return (q @ k.mT).softmax(-1) @ v

    layer.mix = mix


@pytest.mark.parametrize("attention", FOUR)
def test_int8_maps_are_near_and_the_mixing_stays(attention):
    run = run_of("inference.part=model", "model.width=32", "data.length=16").of(attention)
    torch.manual_seed(0)
    model = built(run)
    small, x = quantised(model), inputs(run)
    kinds = {name: type(part).__module__ for name, part in small.named_modules() if hasattr(part, "weight")}
    maps = {name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
    assert {name for name in maps if "quantized" in kinds[name]} == {
        name for name in maps if not name.endswith("mixing")
    }
    with torch.inference_mode():
        exact, near = model(x), small(x)
    assert not torch.equal(exact, near)
    assert torch.allclose(exact, near, atol=0.05 * float(exact.abs().max()) + 0.02)
    assert file_mib(small) < file_mib(model)


LARGER = ("model.width=32", "data.length=16")


@pytest.fixture(scope="module")
def exports() -> dict[type, bytes]:
    """ONNX graphs of these tests' larger models, by mechanism: an export takes seconds, and a test that only times a graph can take another's."""
    return {}


@pytest.mark.parametrize("attention", FOUR)
def test_onnx_runtime_computes_the_model_for_any_number_of_inputs(attention, exports):
    run = run_of("inference.part=model", *LARGER, "inference.batch=5").of(attention)
    torch.manual_seed(0)
    model = built(run)
    torch.manual_seed(0)
    exported, x = built(run.of(attention, "onnx")), inputs(run)
    exports[type(model.blocks[0].attention)] = exported.bytes
    with torch.inference_mode():
        for part in (x, x[:1]):
            assert torch.allclose(exported(part), model(part), atol=1e-5)
    least = sum(p.numel() for p in model.parameters()) * 4 / 2**20
    assert least < file_mib(exported) < 2 * least + 0.1


def test_a_gpu_that_is_not_there_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"inference\.part layer_gpu is timed on a GPU, and torch finds none"):
        inference.measure(config_of(*SMALL, "inference.part=layer_gpu"), tmp_path)


def test_a_fresh_process_gives_the_value_and_passes_errors_on():
    assert in_a_fresh_process(abs, -3.5) == 3.5
    with pytest.raises(ZeroDivisionError):
        in_a_fresh_process(divmod, 1, 0)


def test_memory_grows_by_what_a_call_holds():
    """A layer's output alone is batch × length × w × 4 bytes."""
    small, large = (
        run_of("model.width=64", f"inference.batch={batch}", "data.length=256").of("efficient") for batch in (8, 64)
    )
    grown = in_a_fresh_process(held_mib, large) - in_a_fresh_process(held_mib, small)
    assert grown > 56 * 256 * 64 * 4 / 2**20


@pytest.mark.parametrize("part", ["layer", "model", "int8", "onnx"])
def test_a_cell_measures_and_the_rows_of_a_size_share_a_run(part, tmp_path, monkeypatch, exports):
    def exported_once(module, examples, really=edge._exported):
        kind = type(module.blocks[0].attention)
        if kind not in exports:
            exports[kind] = really(module, examples)
        return exports[kind]

    for folder in ("libs", "projects"):  # where the fingerprint of an artefact looks for code
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inference, "in_a_fresh_process", lambda function, run: 1.5)
    monkeypatch.setattr(edge, "_exported", exported_once)
    larger = LARGER if part == "onnx" else ()
    config = config_of(*SMALL, *larger, f"inference.part={part}", "inference.seconds=0.01", "budget.repeats=1")
    found = {
        name: inference.measure(replace(config, model=replace(config.model, attention=name)), tmp_path).metrics
        for name in FOUR
    }
    for made in ("run_all", "run_peaks"):
        assert len(list((tmp_path / "runs" / "artefacts").glob(f"{made}-*/found.json"))) == 1
    assert found["softmax"]["flop_ratio"] == 1
    if part == "layer":
        assert found["efficient"]["flop_ratio"] == pytest.approx((4 * 8 + 4 * 6) / (8 * 8 + 4 * 6))
    assert found["efficient"]["weights_mib"] < found["softmax"]["weights_mib"]
    for metrics in found.values():
        assert metrics["time_ms"] > 0
        assert metrics["peak_mib"] == 1.5
        assert metrics["speedup"] > 0
        assert (metrics["speedup_float32"] == metrics["speedup"]) is (part not in ("int8", "onnx"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("inference.part=edge", "must be one of layer, model, layer_gpu, model_gpu, int8, onnx, got 'edge'"),
        ("inference.batch=0", "inference.batch must be at least 1, got 0"),
        ("inference.seconds=0", "inference.seconds must be positive, got 0"),
        ("model.heads=3", "width = 128 and heads = 3"),
        ("data.length=null", "data set imdb needs length and vocabulary"),
    ],
)
def test_what_cannot_be_timed_is_refused_with_the_numbers(override, message):
    with pytest.raises(ValueError, match=message):
        check(config_of(override))

"""Inference: turns under a clock of our own, FLOPs against torch's counter, an isolated process, and a cell of each part."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from projects.better_attention.analyses import inference, onnx_int8
from projects.better_attention.analyses.inference import (
    Run,
    built,
    dense_flops,
    flops_of,
    in_isolated_process,
    in_turns,
    inputs,
    peak_mib,
)
from projects.better_attention.config import FOUR, PROJECT
from regard.attention import Attention
from regard_lab.common.errors import UserError
from tests.configs import ROOT, configs_of

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


def test_a_gpu_that_is_not_there_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=r"inference\.part layer_gpu is timed on a GPU, and torch finds none"):
        inference.measure(config_of(*SMALL, "inference.part=layer_gpu"), tmp_path)


def test_an_isolated_process_gives_the_value_and_passes_errors_on():
    assert in_isolated_process(abs, -3.5) == 3.5
    with pytest.raises(ZeroDivisionError):
        in_isolated_process(divmod, 1, 0)


def test_an_isolated_process_finds_the_projects_wherever_the_fork_server_was_started(tmp_path):
    (tmp_path / "projects" / "another").mkdir(parents=True)
    (tmp_path / "projects" / "another" / "config.py").touch()
    code = f"""
import multiprocessing.forkserver, os, sys
sys.path[:0] = [{str(ROOT / "libs")!r}, {str(ROOT)!r}]  # as pytest does: the fork server does not inherit it
from projects.better_attention.analyses.inference import in_isolated_process, dense_flops
os.chdir({str(tmp_path)!r})
multiprocessing.set_forkserver_preload(["projects.another.config"])
multiprocessing.forkserver.ensure_running()
os.chdir({str(ROOT)!r})
print(in_isolated_process(dense_flops, [2, 3]))
"""
    run = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": ""}, capture_output=True, text=True
    )
    assert run.stdout == f"{dense_flops([2, 3])}\n", run.stderr


def test_memory_grows_by_what_a_call_holds():
    """A layer's output alone is batch × length × w × 4 bytes."""
    small, large = (
        run_of("model.width=64", f"inference.batch={batch}", "data.length=256").of("efficient") for batch in (8, 64)
    )
    grown = in_isolated_process(peak_mib, large) - in_isolated_process(peak_mib, small)
    assert grown > 56 * 256 * 64 * 4 / 2**20


@pytest.mark.parametrize("part", ["layer", "model", "int8", "onnx"])
def test_a_cell_measures_and_the_rows_of_a_size_share_a_run(part, tmp_path, monkeypatch):
    exports: dict[type, bytes] = {}  # an export takes seconds, and graphs of one mechanism take equally long

    def exported_once(module, examples, really=onnx_int8._exported):
        kind = type(module.blocks[0].attention)
        if kind not in exports:
            exports[kind] = really(module, examples)
        return exports[kind]

    for folder in ("libs", "projects"):  # where the fingerprint of an artefact looks for code
        (tmp_path / folder).symlink_to(ROOT / folder)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(inference, "in_isolated_process", lambda function, run: 1.5)
    monkeypatch.setattr(onnx_int8, "_exported", exported_once)
    config = config_of(*SMALL, f"inference.part={part}", "inference.seconds=0.01", "budget.repeats=1")
    found = {
        name: inference.measure(replace(config, model=replace(config.model, attention=name)), tmp_path).metrics
        for name in FOUR
    }
    for made in ("run_all", "run_peaks"):
        assert len(list((tmp_path / "runs" / "artefacts").glob(f"{made}-*/measured.json"))) == 1
    assert found["softmax"]["flop_ratio"] == 1
    if part == "layer":
        assert found["efficient"]["flop_ratio"] == pytest.approx((4 * 8 + 4 * 6) / (8 * 8 + 4 * 6))
    assert found["efficient"]["weights_mib"] < found["softmax"]["weights_mib"]
    for metrics in found.values():
        assert metrics["time_ms"] > 0
        assert metrics["peak_mib"] == 1.5
        assert metrics["speedup"] > 0
        assert (metrics["speedup_float32"] == metrics["speedup"]) is (part not in ("int8", "onnx"))

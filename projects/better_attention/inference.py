"""How fast is one attention layer at inference? Every mechanism against softmax attention with the fused kernel, in turns, in one run."""

import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from projects.better_attention.model import attention_layer, tokens_of
from projects.better_attention.project import Config
from regard import cost
from regard.layer import Attention
from regard_lab.measured import Measured

BATCH = 32
ROUND_S = 0.01  # how long one timed round should last: long against the clock, short against what else the machine does


def measure(config: Config, folder: Path) -> Measured:
    """Latency of one layer on a batch of 32, one thread: `time_us` a call, `speedup` over softmax attention, `flop_ratio` to it.

    The two layers are timed in turns, so that what disturbs the machine disturbs both, and each keeps its least disturbed round: other work
    on the machine can only make a round longer.
    """
    length = tokens_of(config.data)
    torch.manual_seed(config.seed)
    layer = attention_layer(config.model, length).eval()
    baseline = attention_layer(replace(config.model, attention="softmax"), length).eval()
    x = torch.randn(BATCH, length, config.model.width)
    calls = rounds_of(baseline, x)
    times: dict[str, list[float]] = {"layer": [], "baseline": []}
    for _ in range(config.budget.repeats):
        times["layer"].append(seconds_of(layer, x, calls))
        times["baseline"].append(seconds_of(baseline, x, calls))
    seconds, against = min(times["layer"]), min(times["baseline"])
    sizes = {"width": config.model.width, "heads": config.model.heads, "n": length}
    ratio = cost.flops(config.model.attention, **sizes) / cost.flops("softmax", **sizes)
    return Measured(metrics={"time_us": 1e6 * seconds, "speedup": against / seconds, "flop_ratio": ratio})


@torch.inference_mode()
def seconds_of(layer: Attention, x: Tensor, calls: int) -> float:
    """Seconds a call, over `calls` calls in a row."""
    begin = time.perf_counter()
    for _ in range(calls):
        layer(x)
    return (time.perf_counter() - begin) / calls


def rounds_of(layer: Attention, x: Tensor) -> int:
    """How many calls make a round of about `ROUND_S`; also the warm-up."""
    seconds_of(layer, x, 5)
    return max(1, round(ROUND_S / seconds_of(layer, x, 5)))

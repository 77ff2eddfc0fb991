"""Costs by formula, against the paper's table worked by hand and against what really stands and runs."""

import sys
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from regard import cost
from regard.mechanisms.smyrf import clustered_attention
from regard.mechanisms.softmax import naive_softmax
from regard.registry import build, mechanism_class

FOUR = ("softmax", "optimised", "efficient", "super")
# Hosseini and Hosseini's four layers, biases on all maps: (w, l) -> parameters, worked by hand from 4 (w² + w), 3 (w² + w), 2 (w² + w), … + l² + l
PARAMETERS = {
    (32, 32): (4_224, 3_168, 2_112, 3_168),
    (64, 144): (16_640, 12_480, 8_320, 29_200),
    (256, 144): (263_168, 197_376, 131_584, 152_464),
    (256, 256): (263_168, 197_376, 131_584, 197_376),
    (768, 196): (2_362_368, 1_771_776, 1_181_184, 1_219_796),
    (768, 197): (2_362_368, 1_771_776, 1_181_184, 1_220_190),
}


@pytest.mark.parametrize(("width", "length"), PARAMETERS)
def test_parameters_by_hand(width: int, length: int) -> None:
    got = tuple(cost.parameters(name, width=width, heads=4, length=length) for name in FOUR)
    assert got == PARAMETERS[width, length]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("name", [*FOUR, "smyrf"])
def test_parameters_are_those_that_stand(name: str, bias: bool) -> None:
    sizes: dict[str, Any] = {"width": 12, "heads": 3, "bias": bias}
    layer = build(name, **sizes, **({"length": 7} if name == "super" else {}))
    assert cost.parameters(name, length=7, **sizes) == sum(p.numel() for p in layer.parameters())


@pytest.mark.parametrize(
    ("width", "length", "ratios"),
    [(32, 32, (0.833, 0.667, 0.833)), (256, 144, (0.805, 0.610, 0.720)), (768, 196, (0.778, 0.557, 0.613))],
)
def test_flops_by_hand(width: int, length: int, ratios: tuple[float, ...]) -> None:
    w, n = width, length
    standard, *others = (cost.flops(name, width=w, heads=4, n=n) for name in FOUR)
    assert standard == 8 * n * w**2 + 4 * n**2 * w
    assert others == [6 * n * w**2 + 4 * n**2 * w, 4 * n * w**2 + 4 * n**2 * w, 4 * n * w**2 + 6 * n**2 * w]
    assert tuple(round(each / standard, 3) for each in others) == ratios


@pytest.mark.parametrize("pattern", ["noncausal_self", "noncausal_cross"])
@pytest.mark.parametrize("name", [*FOUR, "smyrf"])
def test_flops_are_those_that_run(name: str, pattern: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted on plain matrix products: torch's counter is blind to the fused CPU kernel."""
    monkeypatch.setattr(clustered_attention, "HAS_CPU_KERNEL", False)
    for each in FOUR:
        monkeypatch.setattr(sys.modules[mechanism_class(each).__module__], "softmax", naive_softmax)
    n, m = (24, 40) if pattern.endswith("cross") else (24, 24)
    options = {"super": {"length": 40}, "smyrf": {"rounds": 3, "cluster_size": 6}}.get(name, {})
    layer = build(name, width=12, heads=3, pattern=pattern, bias=False, **options)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        layer(torch.randn(1, n, 12), *([torch.randn(1, m, 12)] if layer.cross else []))
    assert counter.get_total_flops() == cost.flops(name, width=12, heads=3, n=n, m=m, **options)


@pytest.mark.parametrize(
    ("rounds", "queries", "keys", "n", "m", "part"),
    [
        (2, 32, None, 128, 128, 0.5),  # GLUE 2 × 32
        (2, 16, None, 128, 128, 0.25),  # GLUE 2 × 16
        (8, 32, None, 512, 512, 0.5),  # IMDB
        (4, 2048, 512, 16384, 4096, 0.5),  # CelebA: pooled keys
        (4, 2048, None, 16384, 4096, 0.5),
    ],
)
def test_score_memory_of_smyrf(rounds: int, queries: int, keys: int | None, n: int, m: int, part: float) -> None:
    options = {"rounds": rounds, "cluster_size": queries, "key_cluster_size": keys}
    assert cost.score_memory("smyrf", n=n, m=m, **options) == part
    assert cost.score_entries("smyrf", heads=5, n=n, m=m, **options) == 5 * n * m * part


def test_saved() -> None:
    assert cost.saved(cost.parameters, "optimised", width=32, heads=4, length=32) == 0.25
    assert cost.saved(cost.parameters, "super", width=64, heads=4, length=144) < 0  # larger than the standard layer
    assert cost.saved(cost.score_entries, "smyrf", heads=2, n=128, rounds=2, cluster_size=32) == 0.5
    assert cost.score_memory("super", n=9) == 1


def test_a_class_is_its_own_name() -> None:
    cls = mechanism_class("efficient")
    assert cost.flops(cls, width=8, heads=2, n=3) == cost.flops("efficient", width=8, heads=2, n=3)


def test_bad_sizes() -> None:
    with pytest.raises(ValueError, match="heads must divide the width, got width = 10 and heads = 4"):
        cost.parameters("softmax", width=10, heads=4, length=3)
    with pytest.raises(ValueError, match="m must be at least 1, got 0"):
        cost.flops("softmax", width=8, heads=4, n=3, m=0)
    with pytest.raises(TypeError, match=r"n must be an integer, got 2\.5"):
        cost.score_entries("softmax", heads=1, n=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"no mechanism 'sofmax'\. Did you mean 'softmax'"):
        cost.score_entries("sofmax", heads=1, n=2)

"""Table `memory`: the memory that SMYRF needs, as the paper counts it and as measured."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from projects.smyrf.config import Speed
from regard import cost
from regard.bench.cases import LIBRARY, PLAIN, Case
from regard.bench.memory import Peak, in_a_fresh_process
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Attention, Config


def measure(config: Config, folder: Path) -> RunResult:
    """One attention layer with its four projections, forward, or forward and backward as in a step of training, one thread:

    score_memory     score entries in % of the dense ones: the paper's count
    released_floats  floats that the released form holds, over dense attention's 2 n² per head: scores and their copies, see `released_floats`
    peak_mib         the most that a call holds beyond input and parameters, its output included, in a fresh process
    fused_ratio      that over the peak of dense attention by the fused kernel, measured in a fresh process too
    """
    section, attention = config.speed, config.attention
    assert section is not None
    smyrf = attention.name == "smyrf"
    case = case_of(section, attention)
    fused = replace(case, mechanism="softmax", form=LIBRARY, options="")
    peak, dense = peak_of(case, config.seed, "own"), peak_of(fused, config.seed, "baseline")
    n, head_width = section.tokens, section.width // section.heads
    options = {"rounds": attention.rounds, "cluster_size": attention.cluster_size} if smyrf else {}
    floats = released_floats(n, head_width, attention.rounds, attention.cluster_size) if smyrf else 2 * n**2
    return RunResult(
        metrics={
            "score_memory": 100 * cost.score_memory(attention.name, n=n, **options),
            "released_floats": floats / (2 * n**2),
            "peak_mib": peak.extra_mib,
            "fused_ratio": peak.extra_mib / dense.extra_mib,
        }
    )


def released_floats(n: int, d: int, rounds: int, cluster_size: int) -> int:
    """Floats per head that the released form holds: scores twice, sorted q, k, v and outputs of all rounds at once, and the transformed q and k.

    2 H N C + 4 H N d + 2 N (d + 2), where dense attention without a fused kernel holds 2 N².
    """
    return 2 * rounds * n * cluster_size + 4 * rounds * n * d + 2 * n * (d + 2)


def case_of(section: Speed, attention: Attention) -> Case:
    """The layer as a case of the library's own benchmark."""
    smyrf = attention.name == "smyrf"
    return Case(
        mechanism=attention.name,
        form=PLAIN if section.kernel == "unfused" else LIBRARY,
        level="layer",
        pattern="noncausal_self",
        options=f"rounds={attention.rounds} cluster_size={attention.cluster_size}" if smyrf else "",
        backward=section.backward,
        batch=section.batch,
        heads=section.heads,
        head_width=section.width // section.heads,
        n=section.tokens,
    )


@functools.lru_cache(maxsize=64)
def peak_of(case: Case, seed: int, use: str) -> Peak:
    """The peak of a case on one thread; measured once for each seed and use, so that the fused layer's own rows compare two measurements.

    Raises:
        RuntimeError: The process measured nothing.
    """
    peak = in_a_fresh_process(case, threads=1)
    if isinstance(peak, str):
        raise RuntimeError(f"no peak of {case} at {case.n:,} tokens: {peak}")
    return peak

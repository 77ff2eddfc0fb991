"""What a design of the decoder's self attention costs at G groups of M slots: parameters, pairs, seconds, memory. Nothing is trained."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from projects.social_groups.config import Config
from projects.social_groups.decoder_attention import SelfAttention, pairs
from projects.social_groups.model import SocialGroups
from projects.social_groups.train import optimiser, score
from regard.bench.memory import peak_of
from regard_lab.experiment.run_result import RunResult

TRUE_GROUPS, PERSONS = 1, 12


def measure(config: Config, folder: Path) -> RunResult:
    """One thread, CPU; `timing_batch` scenes; times are the least of the repeats: other work can only make one longer.

    `attention_s` and `attention_mib`: one layer's self attention, forward and backward. `step_s`: a whole training step of the network on
    made-up maps. `pairs` and `attention_parameters` are those of one layer.
    """
    model, batch = config.model, config.budget.timing_batch
    torch.manual_seed(config.seed)
    own = SelfAttention(
        model.self_attention, width=model.width, heads=model.heads, dropout=model.dropout, mechanism=model.mechanism
    )
    x = torch.randn(batch, model.groups, config.data.members, model.width, requires_grad=True)
    position = torch.randn_like(x)

    def attend() -> None:
        out: Tensor = own(x, position)
        out.sum().backward()

    network = SocialGroups(config.data, model)
    steps = optimiser(network, config.training)
    scenes = made_up(config, batch)

    def step() -> None:
        steps.zero_grad()
        score(network, scenes, weights=config.weights)["loss"].backward()
        steps.step()

    attend()  # the first call loads kernels
    peak = peak_of(attend)
    return RunResult(
        metrics={
            "parameters": sum(p.numel() for p in network.parameters()),
            "attention_parameters": sum(p.numel() for p in own.parameters()),
            "pairs": pairs(model.self_attention, model.groups, config.data.members),
            "tokens": model.groups * config.data.members,
            "attention_s": least_seconds(attend, config.budget.repeats),
            "attention_mib": peak.extra_mib,
            "step_s": least_seconds(step, config.budget.repeats),
        }
    )


def least_seconds(call: Callable[[], None], repeats: int) -> float:
    """The shortest of `repeats` calls."""
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        found.append(time.perf_counter() - begin)
    return min(found)


def made_up(config: Config, batch: int) -> tuple[Tensor, ...]:
    """A batch of the right shapes: noise for maps, twelve persons, two of them a group."""
    data = config.data
    groups = torch.full((batch, PERSONS), -1)
    groups[:, :2] = 0
    return (
        torch.randn(batch, data.channels, *data.grid),
        torch.rand(batch, PERSONS, 4) * 0.5 + 0.1,
        torch.zeros(batch, PERSONS, dtype=torch.long),
        groups,
        torch.zeros(batch, TRUE_GROUPS, dtype=torch.long),
    )

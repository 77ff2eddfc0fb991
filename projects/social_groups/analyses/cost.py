"""What a design of the decoder's self attention costs at G groups of M slots: parameters, pairs, seconds, memory. Nothing is trained."""

import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from projects.social_groups.config import Config
from projects.social_groups.models.decoder_attention import SelfAttention, pairs
from projects.social_groups.models.network import SocialGroups
from projects.social_groups.tasks.recognition import parameter_groups, score
from regard.bench.memory import peak_of
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.recipe import optimiser

TRUE_GROUPS, PERSONS = 1, 12


def measure(config: Config, folder: Path) -> RunResult:
    """Time one layer's self attention and a whole training step, on one CPU thread.

    A batch has `timing_batch` scenes; a time is the least of the repeats, because other work can only make one longer.

    Args:
        config: The cell's config.
        folder: Not used.

    Returns:
        `attention_s` and `attention_mib`: one layer's self attention, forward and backward. `step_s`: a training step
        of the network on random maps. `pairs` and `attention_parameters`: those of one layer.
    """
    model, batch = config.model, config.budget.timing_batch
    torch.manual_seed(config.seed)
    attention = SelfAttention(
        model.self_attention, width=model.width, heads=model.heads, dropout=model.dropout, mechanism=model.mechanism
    )
    x = torch.randn(batch, model.groups, config.data.members, model.width, requires_grad=True)
    position = torch.randn_like(x)

    def attend() -> None:
        torch.autograd.backward(attention(x, position).sum())

    network = SocialGroups(config.data, model)
    steps = optimiser(parameter_groups(network, config.training), config.training)
    scenes = random_scenes(config, batch)

    def step() -> None:
        steps.zero_grad()
        torch.autograd.backward(score(network, scenes, weights=config.weights)["loss"])
        steps.step()

    attend()  # the first call loads kernels
    peak = peak_of(attend)
    return RunResult(
        metrics={
            "parameters": sum(p.numel() for p in network.parameters()),
            "attention_parameters": sum(p.numel() for p in attention.parameters()),
            "pairs": pairs(model.self_attention, model.groups, config.data.members),
            "tokens": model.groups * config.data.members,
            "attention_s": least_seconds(attend, config.budget.repeats),
            "attention_mib": peak.extra_mib,
            "step_s": least_seconds(step, config.budget.repeats),
        }
    )


def least_seconds(call: Callable[[], None], repeats: int) -> float:
    """The shortest of `repeats` calls."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def random_scenes(config: Config, batch: int) -> tuple[Tensor, ...]:
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

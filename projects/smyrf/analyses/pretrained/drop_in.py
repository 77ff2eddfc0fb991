"""Table `drop_in`: the methods that came before SMYRF and after it in the place of a trained model's attention, at equal operations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from projects.smyrf.analyses.pretrained.outputs import Output, cosine, forward, output, tokens_of
from projects.smyrf.analyses.pretrained.pretrained_swap import classes, evaluation_run, language, probe_run
from projects.smyrf.analyses.pretrained.reference import outputs_of, probe_of
from projects.smyrf.config import Pretrained, Replacement
from projects.smyrf.data.inputs import inputs_of
from projects.smyrf.models.checkpoints import Checkpoint, checkpoint
from projects.smyrf.models.replacement import Sizes, replaced
from regard.bench.timing import elapsed_s
from regard_lab.experiment.items import ItemisedResult
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.analyses.pretrained.pretrained_swap import Decisions
    from projects.smyrf.config import Config

DENSE = Replacement("softmax", 1.0)


def measure(config: Config, folder: Path) -> RunResult:
    """Over a seed's inputs, the same for every row; the seed draws what a method draws, too.

    operations     in % of dense attention's, by formula
    score_memory   entries of score-like matrices in % of dense attention's n²
    cosine         similarity of the outputs to those with dense attention
    agreement      decisions that are the same as with dense attention, in %: classes by the probe, or likeliest next tokens
    accuracy       decisions that are right, in %
    nats           mean cross entropy of the right decision
    time_ratio     forward pass over that with the fused kernel, on the first inputs, in turns, the least of each
    """
    section, replacement, root = config.pretrained, config.replacement, Path.cwd()
    assert section is not None
    assert replacement is not None
    run = evaluation_run(config, section)
    model = checkpoint(section.checkpoint, root)
    tensors, labels = inputs_of(model, run.inputs, root)
    sizes = sizes_of(model, tensors[0])
    before = outputs_of(run, root)
    with replaced(model.model, replacement, sizes, config.seed) as setting:
        after = [output(model, x) for x in tensors]
    old, new = (decisions(config, section, outputs, tensors, labels) for outputs in (before, after))
    similarities = list(map(cosine, before, after))
    count = len(tensors)
    same, right, nats = (
        values.reshape(count, -1).double().mean(1).tolist()
        for values in (new.decided == old.decided, new.decided == new.right, new.nats)
    )
    return ItemisedResult(
        metrics={
            "operations": 100 * setting.operations,
            "score_memory": 100 * setting.score_memory,
            "cosine": sum(similarities) / count,
            "agreement": 100 * sum(same) / count,
            "accuracy": 100 * sum(right) / count,
            "nats": sum(nats) / count,
            "time_ratio": time_ratio(model, replacement, sizes, config.seed, tensors[: section.timed]),
        },
        exhibits={"options": setting.options},
        items={"cosine": similarities, "agreement": same, "accuracy": right, "nats": nats},
        numbers=range(run.first, run.first + count),
    )


def sizes_of(model: Checkpoint, x: Tensor) -> Sizes:
    """What the model's attention works on for one input."""
    config = model.model.config
    d: int = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    return Sizes(tokens_of(model, x), d, "causal_self" if model.kind == "causal" else "noncausal_self")


def decisions(
    config: Config, section: Pretrained, outputs: list[Output], tensors: list[Tensor], labels: Tensor
) -> Decisions:
    """The classes of the probe, or the next tokens of a language model."""
    if section.classes == 0:
        return language(outputs, tensors)
    probe = probe_of(probe_run(config, section), Path.cwd())
    return classes(probe.logits(torch.cat([output.vectors for output in outputs])), labels)


def time_ratio(model: Checkpoint, replacement: Replacement, sizes: Sizes, seed: int, tensors: list[Tensor]) -> float:
    """The least time with the method over the least with the fused kernel; inputs are of one size, and each is timed with both."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for x in (tensor.to(model.device) for tensor in tensors):
        for dense in (True, False):
            with replaced(model.model, DENSE if dense else replacement, sizes, seed):
                times[dense].append(elapsed_s(lambda x=x: forward(model, x)))  # type: ignore[misc]
    return min(times[False]) / min(times[True])

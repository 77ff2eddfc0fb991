"""Table `pretrained_swap`: trained models with SMYRF in the place of their attention, nothing retrained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from projects.smyrf.analyses.pretrained.outputs import Output, cosine, forward, output, tokens_of
from projects.smyrf.analyses.pretrained.reference import DenseRun, outputs_of, probe_of
from projects.smyrf.config import Pretrained
from projects.smyrf.data.inputs import inputs_of
from projects.smyrf.models.checkpoints import Checkpoint, checkpoint
from projects.smyrf.models.swapping import Swap, swapped
from regard.bench.timing import elapsed_s
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Config


def measure(config: Config, folder: Path) -> RunResult:
    """Over a seed's inputs, the same for every row; the seed draws the directions too.

    score_memory   score entries in % of dense attention's n²
    cosine         similarity of the outputs to those with dense attention
    agreement      decisions that are the same as with dense attention, in %: classes by the probe, or likeliest next tokens
    accuracy       decisions that are right, in %
    perplexity     e to the mean cross entropy of the right decision
    time_ratio     forward pass over that with the fused kernel, on the first inputs, in turns, the least of each
    """
    section, attention, root = config.pretrained, config.attention, Path.cwd()
    assert section is not None
    run = evaluation_run(config, section)
    model = checkpoint(section.checkpoint, root)
    tensors, labels = inputs_of(model, run.inputs, root)
    before = outputs_of(run, root)
    swap = None
    if attention.name == "smyrf":
        swap = Swap(
            attention.rounds,
            attention.cluster_size,
            attention.scheme,
            attention.dedup,
            seed=config.seed,
            hash_rounds=attention.hash_rounds,
        )
    with swapped(model.model, swap):
        after = [output(model, x) for x in tensors]
    if section.classes == 0:
        old, new = (language(outputs, tensors) for outputs in (before, after))
    else:
        probe = probe_of(probe_run(config, section), root)
        old, new = (
            classes(probe.logits(torch.cat([output.vectors for output in outputs])), labels)
            for outputs in (before, after)
        )
    n = tokens_of(model, tensors[0])
    return RunResult(
        metrics={
            "score_memory": 100.0 if swap is None else 100 * swap.score_memory(n, model.kind == "causal", model.layers),
            "cosine": sum(map(cosine, before, after)) / len(tensors),
            "agreement": 100 * float((new.decided == old.decided).float().mean()),
            "accuracy": 100 * float((new.decided == new.right).float().mean()),
            "perplexity": float(new.nats.mean().exp()),
            "time_ratio": time_ratio(model, swap, tensors[: section.timed]),
        }
    )


def evaluation_run(config: Config, section: Pretrained) -> DenseRun:
    """The inputs of a seed, from the test split."""
    return DenseRun(
        section.checkpoint,
        section.reads,
        config.data.name,
        config.data.source,
        "test",
        section.tokens,
        config.seed * section.examples,
        section.examples,
    )


def probe_run(config: Config, section: Pretrained) -> DenseRun:
    """The inputs that the probe is fitted on."""
    names = (section.checkpoint, section.reads, config.data.name, config.data.source)
    return DenseRun(*names, "train", section.tokens, 0, section.train_examples, section.classes)


class Decisions(NamedTuple):
    """What was decided and what is right (n,), and the cross entropy of the right one."""

    decided: Tensor
    right: Tensor
    nats: Tensor


def classes(logits: Tensor, labels: Tensor) -> Decisions:
    """The decisions of a probe, one per input."""
    return Decisions(logits.argmax(-1), labels, F.cross_entropy(logits, labels, reduction="none"))


def language(outputs: list[Output], tensors: list[Tensor]) -> Decisions:
    """The decisions of a language model, one per next token."""
    right = torch.cat([x[0, 1:] for x in tensors])
    return Decisions(
        torch.cat([output.likeliest for output in outputs]), right, torch.cat([output.nats for output in outputs])
    )


def time_ratio(model: Checkpoint, swap: Swap | None, tensors: list[Tensor]) -> float:
    """The least time with SMYRF over the least with the fused kernel; inputs are of one size, and each is timed with both."""
    times: dict[bool, list[float]] = {True: [], False: []}
    for x in (tensor.to(model.device) for tensor in tensors):
        for dense in (True, False):
            with swapped(model.model, None if dense else swap):
                times[dense].append(elapsed_s(lambda x=x: forward(model, x)))  # type: ignore[misc]
    return min(times[False]) / min(times[True])

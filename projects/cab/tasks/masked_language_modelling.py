"""Masked language modelling of subwords, for noncausal self attention. Every layer is under test.

Of each window 15 % of the subwords are asked for: of these four fifths are masked, a tenth is replaced at random and a
tenth stays (BERT). In training they are drawn anew at every step (RoBERTa), in validation and test once for all models.
Perplexity is per subword that is asked for.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.cab.config import Config, Mlm
from projects.cab.data.masking import masked
from projects.cab.data.running_text import masked_windows
from projects.cab.models.masked_language_model import MaskedLanguageModel
from projects.cab.tasks.cached_training import (
    Measured,
    TrainingRun,
    as_items,
    cached_result,
    curves_of,
    each_item,
    evaluation_batches,
    run_result,
    save,
    seconds_of,
    train_model,
)
from regard_lab.experiment.run_result import RunResult

INDEX_METRICS = ("perplexity",)


def train(config: Config, folder: Path) -> RunResult:
    """Perplexity and accuracy at the subwords that are asked for, the parameters of the layers under test, and the seconds of training."""
    return run_result(result_of(config))


def result_of(config: Config, attention: str | None = None) -> Measured:
    """What the task measures, with another mechanism if one is named."""
    assert config.mlm is not None
    return cached_result(config, fit_masked_language_model, config.mlm, config.mlm.sets, attention=attention)


def fit_masked_language_model(run: TrainingRun[Mlm], folder: Path) -> None:
    """Train the model and leave what it measures."""
    task = run.task
    parts = masked_windows(task, run.source)
    torch.manual_seed(run.seed)
    model = MaskedLanguageModel(task, run.attention, run.pattern)

    def score(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        if len(batch) == 1:  # of training; drawn from the seed of the step
            (windows,) = batch
            batch = (*masked(windows.long(), task.masked, task.vocabulary), windows)
        return {"loss": outcomes(model, batch)["nats"].mean()}

    trained, history = train_model(model, score, parts, task.training, run.seed, folder)
    found = each_item(trained, outcomes, evaluation_batches(parts["test"], task.training))
    metrics = {
        "perplexity": math.exp(float(found["nats"].mean())),
        "nats": float(found["nats"].mean()),
        "accuracy": 100 * float(found["right"].mean()),
        "attention_parameters": float(model.layers.parameter_count()),
        "train_time_s": seconds_of(history),
    }
    save(folder, Measured(metrics, curves_of(history), {"nats": as_items(found["nats"])}))


def outcomes(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Nats per subword that is asked for and the share of those that were the likeliest, `(b,)`.

    Args:
        model: Subwords and places -> logits.
        batch: Windows as the model sees them `(b, n)`, the places that are asked for `(b, k)`, and the windows as they
            were `(b, n)`.
    """
    seen, chosen, windows = (part.long() for part in batch)
    logits, right = model(seen, chosen), windows.gather(1, chosen)
    return {
        "nats": F.cross_entropy(logits.flatten(0, 1), right.flatten(), reduction="none").view_as(right).mean(1),
        "right": (logits.argmax(-1) == right).float().mean(1),
    }

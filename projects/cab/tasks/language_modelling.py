"""Language modelling of subwords, for causal self attention. Every layer is under test.

A model is asked for contexts that it was not trained on too: each eighth of its own, and twice its own. Perplexity is
per subword, over text cut into windows of the context, without any text before a window; the text is the same at every
context.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.cab.config import Config, Lm
from projects.cab.data.running_text import cut_text, load_subwords, text_windows
from projects.cab.models.language_model import LanguageModel
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
from regard_lab.training.trainer import Task

INDEX_METRICS = ("perplexity",)
EIGHTHS = {
    "eighth": 1,
    "quarter": 2,
    "three_eighths": 3,
    "half": 4,
    "five_eighths": 5,
    "three_quarters": 6,
    "seven_eighths": 7,
    "full": 8,
    "double": 16,
}  # of the context in training


def train(config: Config, folder: Path) -> RunResult:
    """Perplexity at nine contexts, the parameters of the layers under test, and the seconds of training."""
    return run_result(result_of(config))


def result_of(config: Config, attention: str | None = None) -> Measured:
    """What the task measures, with another mechanism if one is named."""
    assert config.lm is not None
    return cached_result(config, fit_language_model, config.lm, config.lm.sets, attention=attention)


def fit_language_model(run: TrainingRun[Lm], folder: Path) -> None:
    """Train the model and leave what it measures."""
    task = run.task
    parts = text_windows(task, run.source)
    torch.manual_seed(run.seed)
    model = LanguageModel(task, run.attention, run.pattern, task.context * EIGHTHS["double"] // 8)
    trained, history = train_model(model, score, parts, task.training, run.seed, folder)
    metrics = {"attention_parameters": float(model.layers.parameter_count()), "train_time_s": seconds_of(history)}
    text = load_subwords(tuple(task.sets), run.source, task.vocabulary)["test"]
    windows = len(parts["test"][0])
    items = []
    for name, eighths in EIGHTHS.items():
        nats = window_nats(trained, task, text, eighths, windows)
        metrics["perplexity" if name == "full" else f"perplexity_{name}"] = math.exp(float(nats.mean()))
        if name == "full":
            items, metrics["nats"] = as_items(nats), float(nats.mean())
    metrics["full_over_quarter"] = metrics["perplexity"] / metrics["perplexity_quarter"]
    metrics["double_over_full"] = metrics["perplexity_double"] / metrics["perplexity"]
    save(folder, Measured(metrics, curves_of(history), {"nats": items}))


def window_nats(trained: Task, task: Lm, text: Tensor, eighths: int, windows: int) -> Tensor:
    """Nats per subword of each window of a context of `eighths`, over as much text as `windows` of the training context hold."""
    context = task.context * eighths // 8
    cut = cut_text(text, context, max(1, windows * task.context // context) if task.held_out_examples else None)
    return each_item(trained, nats_by_window, evaluation_batches(cut, task.training))["nats"]


def score(model: nn.Module, batch: tuple[Tensor]) -> dict[str, Tensor]:
    """Nats per subword of windows `(b, n + 1)`."""
    return {"loss": nats_by_window(model, batch)["nats"].mean()}


def nats_by_window(model: nn.Module, batch: tuple[Tensor]) -> dict[str, Tensor]:
    """Nats per subword of each window, `(b,)`."""
    (window,) = batch
    window = window.long()
    following = window[:, 1:]
    # Flat, as `cross_entropy` of more than one dimension has no deterministic form on CUDA.
    nats = F.cross_entropy(model(window[:, :-1]).flatten(0, 1), following.flatten(), reduction="none")
    return {"nats": nats.view_as(following).mean(1)}

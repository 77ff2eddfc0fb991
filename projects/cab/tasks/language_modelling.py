"""Language modelling of characters, for causal self attention. Every layer is under test.

A model is asked for contexts that it was not trained on too: a quarter, a half and twice its own. Perplexity is per character, over text cut into
windows of the context, without any text before a window.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.cab.config import Config, Lm
from projects.cab.data import cut_text, load_characters
from projects.cab.models.language_model import LanguageModel
from projects.cab.tasks.cached_training import (
    TrainingRun,
    cached_metrics,
    evaluation_batches,
    save_metrics,
    train_model,
)
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.trainer import evaluate

INDEX_METRICS = ("perplexity",)
CONTEXTS = {"quarter": 0.25, "half": 0.5, "full": 1.0, "double": 2.0}  # of the context in training


def train(config: Config, folder: Path) -> RunResult:
    """Perplexity at four contexts, the parameters of the layers under test, and the seconds of training."""
    return RunResult(metrics_of(config))


def metrics_of(config: Config, attention: str | None = None) -> dict[str, float]:
    """The task's metrics, with another mechanism if one is named."""
    assert config.lm is not None
    return cached_metrics(config, fit_language_model, config.lm, [config.lm.set], attention=attention)


def fit_language_model(run: TrainingRun[Lm], folder: Path) -> None:
    """Train the model and leave its metrics."""
    task = run.task
    texts = load_characters(task.set, run.source)
    vocabulary = int(max(text.max() for text in texts.values())) + 1
    torch.manual_seed(run.seed)
    model = LanguageModel(task, run.attention, run.pattern, vocabulary, round(CONTEXTS["double"] * task.context))
    sizes = {"train": task.train_examples}
    parts = {
        split: cut_text(text, task.context, sizes.get(split, task.held_out_examples)) for split, text in texts.items()
    }
    trained, seconds = train_model(model, score, parts, task.training, run.seed, folder)
    metrics = {"attention_parameters": float(model.layers.parameter_count()), "train_time_s": seconds}
    tested = len(parts["test"][0]) * task.context  # characters, the same at every context
    for name, share in CONTEXTS.items():
        context = round(share * task.context)
        windows = cut_text(texts["test"], context, tested // context)
        scores = evaluate(trained, evaluation_batches(windows, task.training))
        metrics["perplexity" if name == "full" else f"perplexity_{name}"] = math.exp(scores["loss"])
    metrics["full_over_quarter"] = metrics["perplexity"] / metrics["perplexity_quarter"]
    metrics["double_over_full"] = metrics["perplexity_double"] / metrics["perplexity"]
    save_metrics(folder, metrics)


def score(model: nn.Module, batch: tuple[Tensor]) -> dict[str, Tensor]:
    """Nats per character of windows `(b, n + 1)`."""
    (window,) = batch
    window = window.long()
    return {"loss": F.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())}

"""Translation of short sentences from English to Spanish, for causal cross attention.

Words are lower-case words and signs; perplexity is per Spanish word, its end included, given the true words before it.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from projects.cab.config import Config, Translation
from projects.cab.data.sentences import PADDING, sentence_pairs
from projects.cab.models.translator import Translator
from projects.cab.tasks.cached_training import (
    Measured,
    TrainingRun,
    cached_result,
    curves_of,
    evaluation_batches,
    run_result,
    save,
    seconds_of,
    train_model,
)
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.trainer import evaluate

INDEX_METRICS = ("perplexity",)


def train(config: Config, folder: Path) -> RunResult:
    """Perplexity and accuracy of the next word on test sentences, the parameters of the layers under test, and the seconds of training."""
    return run_result(result_of(config))


def result_of(config: Config, attention: str | None = None) -> Measured:
    """What the task measures, with another mechanism if one is named."""
    assert config.translation is not None
    return cached_result(config, fit_translator, config.translation, [config.translation.set], attention=attention)


def fit_translator(run: TrainingRun[Translation], folder: Path) -> None:
    """Train the model and leave its metrics."""
    task = run.task
    parts = sentence_pairs(task, run.source)
    torch.manual_seed(run.seed)
    model = Translator(task, run.attention, run.pattern)
    trained, history = train_model(model, score, parts, task.training, run.seed, folder)
    scores = evaluate(trained, evaluation_batches(parts["test"], task.training))
    metrics = {
        "perplexity": math.exp(scores["nats"] / scores["words"]),
        "accuracy": 100 * scores["right"] / scores["words"],
        "attention_parameters": float(model.layers.parameter_count()),
        "train_time_s": seconds_of(history),
    }
    save(folder, Measured(metrics, curves_of(history)))


def score(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Nats per word over the batch; and a sentence's nats, words, and words that were the likeliest, on average."""
    source, target = (side.long() for side in batch)
    logits, following = model(source, target[:, :-1]), target[:, 1:]
    real = following != PADDING
    # `cross_entropy` of more than one dimension has no deterministic form on CUDA; this is the same to the last bit.
    nats = -logits.mT.log_softmax(1).gather(1, following[:, None])[:, 0] * real
    right = (logits.argmax(-1) == following) & real
    sentences = len(source)
    return {
        "loss": nats.sum() / real.sum(),
        "nats": nats.sum() / sentences,
        "words": real.sum() / sentences,
        "right": right.sum() / sentences,
    }

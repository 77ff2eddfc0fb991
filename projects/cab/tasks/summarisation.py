"""Summaries of news articles, for noncausal self, causal self and causal cross attention.

Perplexity is per subword of the summary, its end included, given the true ones before it. ROUGE (Lin 2004) is
torchmetrics', of words in lower case, F-measure in per cent, of summaries written greedily and by beam search.
"""

import math
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics.functional.text import rouge_score

from projects.cab.config import Config, Summary
from projects.cab.data.summaries import articles
from projects.cab.models.summariser import Summariser, write
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
from regard_lab.data.subwords import PADDING, decode
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.trainer import Task

INDEX_METRICS = ("rouge_1", "rouge_2", "rouge_l")
KEYS = {"rouge_1": "rouge1", "rouge_2": "rouge2", "rouge_l": "rougeL"}
SHOWN = 3  # summaries of the test split on the page


def train(config: Config, folder: Path) -> RunResult:
    """ROUGE by greedy and by beam search, perplexity, the parameters of the layers under test, and the seconds of training."""
    return run_result(result_of(config))


def result_of(config: Config, attention: str | None = None) -> Measured:
    """What the task measures, with another mechanism if one is named."""
    assert config.summary is not None
    return cached_result(config, fit_summariser, config.summary, [config.summary.set], attention=attention)


def fit_summariser(run: TrainingRun[Summary], folder: Path) -> None:
    """Train the model and leave what it measures."""
    task = run.task
    tokenizer, splits = articles(task, run.source)
    parts = {split: (each.source, each.target) for split, each in splits.items()}
    torch.manual_seed(run.seed)
    model = Summariser(task, run.attention, run.pattern)

    def score(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        return losses(model, batch, task.label_smoothing if model.training else 0.0)

    trained, history = train_model(model, score, parts, task.training, run.seed, folder)
    test = splits["test"]
    found = each_item(trained, nats_and_subwords, evaluation_batches(parts["test"], task.training))
    metrics = {"perplexity": math.exp(float(found["nats"].sum() / found["subwords"].sum()))}
    greedy = written(trained, tokenizer, test.source, task, beams=1)
    quality = rouge_of(greedy, test.summaries)
    metrics |= {name: float(values.mean()) for name, values in quality.items()}
    by_beams = rouge_of(written(trained, tokenizer, test.source, task, beams=task.beams), test.summaries)
    metrics |= {f"{name}_beam": float(values.mean()) for name, values in by_beams.items()}
    metrics |= {"attention_parameters": float(model.layers.parameter_count()), "train_time_s": seconds_of(history)}
    items = {name: as_items(values) for name, values in quality.items()}
    items["nats_per_subword"] = as_items(found["nats"] / found["subwords"])
    pairs = [list(pair) for pair in zip(test.summaries[:SHOWN], greedy[:SHOWN], strict=True)]
    save(folder, Measured(metrics, curves_of(history), items, {"summaries": pairs}))


def losses(model: nn.Module, batch: tuple[Tensor, ...], smoothing: float = 0.0) -> dict[str, Tensor]:
    """Nats per subword over the batch, label smoothing included."""
    source, target = (side.long() for side in batch)
    logits, following = model(source, target[:, :-1]), target[:, 1:]
    return {
        "loss": F.cross_entropy(
            logits.flatten(0, 1), following.flatten(), ignore_index=PADDING, label_smoothing=smoothing
        )
    }


def nats_and_subwords(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """Nats and subwords of each summary, `(b,)`, its end included."""
    source, target = (side.long() for side in batch)
    logits, following = model(source, target[:, :-1]), target[:, 1:]
    nats = F.cross_entropy(logits.flatten(0, 1), following.flatten(), ignore_index=PADDING, reduction="none").view_as(
        following
    )
    return {"nats": nats.sum(1), "subwords": (following != PADDING).sum(1).double()}


def written(trained: Task, tokenizer: Tokenizer, sources: Tensor, task: Summary, *, beams: int) -> list[str]:
    """The model's summary of each source `(n, m)`."""
    model = trained.model.eval()
    assert isinstance(model, Summariser)
    device = next(model.parameters()).device
    texts: list[str] = []
    for part in torch.split(sources, task.training.batch_size):
        numbers = write(model, part.long().to(device), length=task.target_length - 1, beams=beams)
        texts += decode(tokenizer, numbers.tolist())
    return texts


def rouge_of(texts: list[str], references: list[str]) -> dict[str, Tensor]:
    """ROUGE-1, -2 and -L of each text, `(n,)`, F-measure in per cent."""
    found: dict[str, list[float]] = {name: [] for name in KEYS}
    for text, reference in zip(texts, references, strict=True):
        scores = rouge_score(text, reference, rouge_keys=tuple(KEYS.values()))
        for name, key in KEYS.items():
            found[name].append(100 * float(scores[f"{key}_fmeasure"]))
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in found.items()}

"""Floors: what a referee would compute in ten minutes, on a cell's own splits and by its own measures.

A linear model's penalty is chosen on the last tenth of the training texts: GLUE's development sets are what is scored.
And the range of the released BigGAN's spectra, which a generator must be in before anything is said of BigGAN.
"""

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from projects.smyrf.analyses.pretrained.pretrained_swap import evaluation_run, probe_run
from projects.smyrf.config import TextTask
from projects.smyrf.data.inputs import inputs_of
from projects.smyrf.data.texts import Encoded
from projects.smyrf.models.checkpoints import checkpoint
from projects.smyrf.tasks.text.finetuning import run_of, split_of
from projects.smyrf.tasks.text.scores import score
from regard_lab.evidence import floors
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.pretrained import tokenizer_of

if TYPE_CHECKING:
    from projects.smyrf.config import Config

LARGEST = (
    4.0,
    9.4,
)  # [figure] of the released BigGAN's maps of 4,096 queries, whose largest singular value is 64 at most
QUERIES = 4096

Floor = Callable[[TextTask, Encoded, Encoded, int], Tensor]
KEPT_APART = 10


def majority(config: "Config", folder: Path) -> RunResult:
    """The most frequent class of the training texts, or their mean rating, always."""
    return scored(config, constant)


def bag_of_words(config: "Config", folder: Path) -> RunResult:
    """Logistic regression on counts of word pieces, or ridge regression for ratings; of a pair, the pieces of both."""
    return scored(config, linear)


def scored(config: "Config", floor: Floor) -> RunResult:
    """A floor's scores by column, and their mean as `average`, as the table's."""
    text = config.text
    assert text is not None
    columns: dict[str, float] = {}
    for task in text.tasks.values():
        run = run_of(config, task)
        tokenizer = tokenizer_of(run.encoder.checkpoint, Path.cwd())
        train = split_of(run, task.train, tokenizer, run.train_examples)
        for column, name in task.held_out.items():
            held_out = split_of(run, name, tokenizer, text.held_out_examples)
            columns[column] = score(task.metric, floor(task, train, held_out, len(tokenizer)), held_out.labels)
    return RunResult({**columns, "average": fmean(columns.values())})


def constant(task: TextTask, train: Encoded, held_out: Encoded, vocabulary: int) -> Tensor:
    """Outputs (n, ·) of the constant answer."""
    if task.classes == 1:
        return train.labels.mean().expand(len(held_out), 1)
    most = int(torch.bincount(train.labels, minlength=task.classes).argmax())
    return decided(np.full(len(held_out), most), task.classes)


def linear(task: TextTask, train: Encoded, held_out: Encoded, vocabulary: int) -> Tensor:
    """Outputs (n, ·) of a linear model of the counts of word pieces."""
    counts, test = (floors.word_counts(places(split), vocabulary) for split in (train, held_out))
    labels = train.labels.numpy()
    kept = len(train) - max(1, len(train) // KEPT_APART)
    fitted, chosen = (counts[:kept], labels[:kept]), (counts[kept:], labels[kept:])
    if task.classes == 1:
        return torch.from_numpy(np.asarray(floors.linear_words(fitted, chosen, test)))[:, None]
    return decided(floors.logistic(fitted, chosen, test, task.classes), task.classes)


def places(split: Encoded) -> np.ndarray:
    """The word pieces of each text as a row, 0 where there is none."""
    rows = np.zeros((len(split), max(split.lengths)), dtype=np.int64)
    for row, ids in zip(rows, split.ids, strict=True):
        row[: len(ids)] = ids
    return rows


def decided(classes: np.ndarray, number: int) -> Tensor:
    """Outputs (n, number) that decide for these classes."""
    return torch.nn.functional.one_hot(torch.as_tensor(classes, dtype=torch.long), number).float()


def most_frequent(config: "Config", folder: Path) -> RunResult:
    """Accuracy in % of deciding the same for every input of table `drop_in`: the most frequent class of the probe's
    training inputs, or the most frequent next token of the texts themselves, which no one can know before."""
    section = config.pretrained
    assert section is not None
    model = checkpoint(section.checkpoint, Path.cwd())
    tensors, labels = inputs_of(model, evaluation_run(config, section).inputs, Path.cwd())
    if section.classes == 0:
        right = torch.cat([x[0, 1:] for x in tensors])
        always = right.mode().values
    else:
        right, always = labels, inputs_of(model, probe_run(config, section).inputs, Path.cwd()).labels.mode().values
    return RunResult({"accuracy": 100 * float((right == always).float().mean())})


def published_sigma_least(config: "Config", folder: Path) -> RunResult:
    """The least largest singular value of the released BigGAN's maps in the figure, in % of the most it can be."""
    return RunResult({"sigma_share": 100 * LARGEST[0] / QUERIES**0.5})


def published_sigma_most(config: "Config", folder: Path) -> RunResult:
    """The greatest."""
    return RunResult({"sigma_share": 100 * LARGEST[1] / QUERIES**0.5})

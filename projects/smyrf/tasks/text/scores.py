"""The loss of a batch, and what is said of a split: measures of predictions, lengths, and score memory."""

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional import pearson_corrcoef, spearman_corrcoef
from torchmetrics.functional.classification import binary_f1_score, binary_matthews_corrcoef, multiclass_accuracy

from regard import cost


def loss(outputs: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy in nats, or, for ratings (b, 1), the mean squared error."""
    return F.mse_loss(outputs[:, 0], labels) if labels.is_floating_point() else F.cross_entropy(outputs, labels)


def accuracy(outputs: Tensor, labels: Tensor) -> Tensor:
    """The share of texts whose class has the largest output."""
    return multiclass_accuracy(outputs, labels, num_classes=outputs.shape[1], average="micro")


def accuracy_f1(outputs: Tensor, labels: Tensor) -> Tensor:
    """The mean of accuracy and F1 of class 1."""
    return (accuracy(outputs, labels) + binary_f1_score(outputs.argmax(-1), labels)) / 2


def matthews(outputs: Tensor, labels: Tensor) -> Tensor:
    """Matthews' correlation of two classes; 0 for a constant prediction, which torchmetrics gives a few hundredths."""
    said = outputs.argmax(-1)
    return binary_matthews_corrcoef(said, labels) if bool((said != said[0]).any()) else torch.zeros(())


def correlation(outputs: Tensor, labels: Tensor) -> Tensor:
    """The mean of Pearson's and Spearman's correlation; 0 for a constant prediction, which has none."""
    both = torch.stack([measure(outputs[:, 0], labels) for measure in (pearson_corrcoef, spearman_corrcoef)])
    return both.nan_to_num(0.0).mean()


MEASURES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "accuracy": accuracy,
    "accuracy_f1": accuracy_f1,
    "matthews": matthews,
    "correlation": correlation,
}


def score(metric: str, outputs: Tensor, labels: Tensor) -> float:
    """A measure by its name, in %."""
    return 100 * float(MEASURES[metric](outputs, labels))


def length_statistics(lengths: list[int], attention: str, cluster_size: int) -> dict[str, float]:
    """Tokens per text, and the share of texts with more tokens than a cluster, in %: on the others SMYRF is dense attention. 0 for softmax."""
    beyond = sum(length > cluster_size for length in lengths) if attention == "smyrf" else 0
    return {"mean_tokens": fmean(lengths), "clustered_texts": 100 * beyond / len(lengths)}


def score_memory(mechanism: str | type[Any], lengths: Sequence[int], *, rounds: int, cluster_size: int) -> float:
    """Score entries over texts of these lengths in % of dense attention's: for one text, rounds · keys per cluster / keys.

    A text that is no longer than a cluster is dense attention, `rounds` times over.
    """
    if mechanism == "softmax":
        return 100.0
    sizes = {"rounds": rounds, "cluster_size": cluster_size}
    entries = sum(cost.score_entries(mechanism, heads=1, n=n, **sizes) for n in lengths)
    return 100 * entries / sum(n * n for n in lengths)

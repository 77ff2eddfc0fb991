"""What learnt attention has to beat before it is asked whether it explains: floors on a cell's own splits, by its own metric.

The entry condition is `even_weights`: the same network, trained by the same recipe, with uniform weights in the
explained layer. Where it is as good, the weights carry nothing that the prediction needs, and no test of them says
anything about explanation.
"""

from pathlib import Path

from projects.explaining.config import Config
from projects.explaining.data import Encoded
from projects.explaining.tasks.classification import load_texts, run_of, uniform_accuracy
from regard_lab.evidence import floors
from regard_lab.experiment.run_result import RunResult

METRIC = "accuracy"


def even_weights(config: Config, folder: Path) -> RunResult:
    """The classifier that is trained with uniform weights in the explained layer."""
    return RunResult({METRIC: uniform_accuracy(config, Path.cwd())})


def majority(config: Config, folder: Path) -> RunResult:
    """The most frequent class of the training split, always."""
    parts = _texts(config).splits
    return RunResult({METRIC: floors.majority(parts["train"][1].numpy(), parts["test"][1].numpy())})


def mean_of_embeddings(config: Config, folder: Path) -> RunResult:
    """A linear layer on the mean of learnt embeddings, as wide as the encoder."""
    texts = _texts(config)
    (train, labels), (validation, right), (test, truth) = (texts.splits[split] for split in _SPLITS)
    said = floors.mean_of_embeddings(
        (train, labels),
        (validation, right),
        test,
        vocabulary=len(texts.words),
        classes=config.data.classes,
        seed=config.seed,
    )
    return RunResult({METRIC: 100 * float((said == truth).double().mean())})


_SPLITS = ("train", "validation", "test")


def _texts(config: Config) -> Encoded:
    return load_texts(run_of(config), Path.cwd())

"""The section of a config that the tables of this folder use. Imports no torch."""

from dataclasses import dataclass
from typing import Any

METRICS = ("accuracy", "accuracy_f1", "matthews", "correlation")
POOLS = ("mean", "first")
REDRAWS = ("never", "training", "always")
MASKS = ("right", "released")


@dataclass
class Task:
    """One task: `data` and its split `train`; `held_out` names the split behind each column of the table.

    `classes` 1 is a rating to be predicted. With `neutral`, ratings become two classes by their sign, and those within ± `neutral` are left out.
    """

    data: str
    train: str
    held_out: dict[str, str]
    classes: int
    metric: str
    neutral: float | None


@dataclass
class Finetuning:
    """How a pre-trained encoder is fine-tuned. `tokens`: texts are cut there. `trained_layers`: the last ones with the head, all if null.

    `redraw`: when SMYRF's directions are drawn anew at every forward pass; otherwise they are those of seed 0. `bucketed`: batches hold texts
    of about one length.
    """

    model: str
    pool: str
    tokens: int
    dropout: float
    attention_dropout: float
    trained_layers: int | None
    redraw: str
    train_examples: int | None
    bucketed: bool
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    epsilon: float
    clip: float


@dataclass
class Text:
    """`inference`: the attention at inference, if it is not that of training. The masks are those of table `mask_bug`: see `mask_order.py`."""

    tasks: dict[str, Task]
    held_out_examples: int | None
    finetuning: Finetuning
    inference: str | None
    training_mask: str | None
    inference_mask: str | None


def check(text: Text, config: Any) -> None:
    """Raises ValueError, with the numbers in it, for a section that cannot run."""
    from regard.mechanisms.smyrf.hashing import SCHEMES

    tuning = text.finetuning
    choices = [
        ("finetuning.pool", tuning.pool, POOLS),
        ("finetuning.redraw", tuning.redraw, REDRAWS),
        ("inference", text.inference, ("softmax", "smyrf", None)),
        ("training_mask", text.training_mask, (*MASKS, None)),
        ("inference_mask", text.inference_mask, (*MASKS, None)),
    ]
    choices += [(f"tasks.{name}.metric", task.metric, METRICS) for name, task in text.tasks.items()]
    for name, value, known in choices:
        if value not in known:
            raise ValueError(f"text.{name} must be one of {', '.join(map(str, known))}, got {value!r}")
    for name in ("tokens", "train_examples", "epochs", "batch_size", "trained_layers"):
        if (number := getattr(tuning, name)) is not None and number < 1:
            raise ValueError(f"text.finetuning.{name} must be at least 1, got {number}")
    if text.held_out_examples is not None and text.held_out_examples < 2:
        raise ValueError(f"text.held_out_examples must be at least 2, got {text.held_out_examples}")
    if tuning.learning_rate <= 0:
        raise ValueError(f"text.finetuning.learning_rate must be positive, got {tuning.learning_rate}")
    if tuning.train_examples is not None and tuning.batch_size > tuning.train_examples:
        sizes = f"batch_size = {tuning.batch_size} and train_examples = {tuning.train_examples}"
        raise ValueError(f"a batch cannot be larger than the data, got text.finetuning.{sizes}")
    _check_tasks(text)
    if config.attention.dedup:
        raise ValueError("the tables of text run the paper's own merge, got attention.dedup=true")
    if config.attention.scheme not in SCHEMES:
        raise ValueError(f"attention.scheme must be one of {', '.join(SCHEMES)}, got {config.attention.scheme!r}")
    if config.attention.scheme != "asymmetric" and (config.attention.name, text.inference) != ("softmax", "smyrf"):
        raise ValueError(
            f"another hash than the paper's is for inference alone, after training with softmax; got attention.scheme={config.attention.scheme},"
            f" attention.name={config.attention.name} and text.inference={text.inference}"
        )
    if (text.training_mask is None) != (text.inference_mask is None):
        raise ValueError("text.training_mask and text.inference_mask go together: set both or none")


def _check_tasks(text: Text) -> None:
    if not text.tasks:
        raise ValueError("text.tasks is empty")
    for name, task in text.tasks.items():
        if task.classes < 1 or not task.held_out:
            raise ValueError(f"text.tasks.{name} needs at least 1 class and 1 held-out split, got {task}")
        if (task.metric == "correlation") != (task.classes == 1):
            raise ValueError(
                f"text.tasks.{name}: ratings (classes 1) go with correlation, got {task.classes} and {task.metric}"
            )
        if task.metric in ("matthews", "accuracy_f1") and task.classes != 2:
            raise ValueError(f"text.tasks.{name}: {task.metric} is of 2 classes, got {task.classes}")
        if task.neutral is not None and (task.classes != 2 or task.neutral < 0):
            raise ValueError(
                f"text.tasks.{name}: neutral ratings are left out for 2 classes, got {task.classes} and neutral = {task.neutral}"
            )

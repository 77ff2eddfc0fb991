"""Tables `glue` and `long_texts`: one encoder fine-tuned on each task, with dense attention, with SMYRF, or with dense attention on shorter texts."""

from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from torch import Tensor

from projects.smyrf.tasks.text.finetuning import FinetuningRun, finetune, predict, run_of, split_of
from projects.smyrf.tasks.text.scores import length_statistics, score, score_memory
from regard_lab.common import files
from regard_lab.experiment.items import ItemisedResult
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.kept import discard_checkpoints

if TYPE_CHECKING:
    from projects.smyrf.config import Config


STRIDE = 1_000_000  # between the numbers of one column's texts and the next's


def train(config: "Config", folder: Path) -> RunResult:
    """Fine-tune on every task and score its held-out splits, all in %; `average` is the mean of the columns.

    Beside it: `score_memory`, of texts as long as the cut; `real_score_memory`, of the held-out texts as long as they
    are; the share of held-out texts on which SMYRF differs from dense attention at all; the share that was cut; tokens
    per text. The curve is the mean over tasks of the loss on validation splits. Items are kept where every task is
    scored by accuracy: one per held-out text, whose mean is `average`.
    """
    text, attention = config.text, config.attention
    assert text is not None
    tasks = {
        name: run_task(run_of(config, task), text.held_out_examples, folder / name) for name, task in text.tasks.items()
    }
    columns = {column: value for task in tasks.values() for column, value in task["scores"].items()}
    lengths = [length for task in tasks.values() for length in task["lengths"]]
    sizes = {"rounds": attention.rounds, "cluster_size": attention.cluster_size}
    kind = (attention.name, attention.cluster_size)
    watched = [task["epochs"]["validation_loss"] for task in tasks.values() if "validation_loss" in task["epochs"]]
    return ItemisedResult(
        metrics={
            **columns,
            "average": fmean(columns.values()),
            "score_memory": score_memory(attention.name, [text.encoder.tokens], **sizes),
            "real_score_memory": score_memory(attention.name, lengths, **sizes),
            **length_statistics(lengths, *kind),
            "dense_texts": 100.0
            if attention.name == "softmax"
            else 100 - length_statistics(lengths, *kind)["clustered_texts"],
            "cut_texts": 100 * sum(task["cut"] for task in tasks.values()) / len(lengths),
        },
        exhibits={
            "tasks": {
                name: {**length_statistics(task["lengths"], *kind), "train_loss": task["epochs"]["train_loss"]}
                for name, task in tasks.items()
            }
        },
        curves={"validation_loss": list(map(fmean, zip(*watched, strict=True)))} if watched else {},
        **items_of([columns for task in tasks.values() for columns in task["right"].values()]),
    )


def items_of(columns: list[list[tuple[int, bool]] | None]) -> dict[str, Any]:
    """The outcomes of all held-out texts, from each column's numbers of texts and whether the answer was right; none where a column has no right.

    A column counts as much as another in `average`, however many texts it has: each text weighs 100 · texts / (columns · texts of its column).
    """
    if not all(columns):
        return {}
    known = [column for column in columns if column is not None]
    total = sum(map(len, known))
    return {
        "items": {
            "average": [100 * total / (len(known) * len(column)) * right for column in known for _, right in column]
        },
        "numbers": [STRIDE * place + number for place, column in enumerate(known) for number, _ in column],
    }


def run_task(run: FinetuningRun, held_out_examples: int | None, folder: Path) -> dict[str, Any]:
    """Scores by column, the lengths of the held-out texts, how many were cut, the losses by epoch, and which texts are right.

    Kept in `folder`: a task is not run twice.
    """
    done = folder / "task.json"
    if done.exists():
        kept: dict[str, Any] = files.read_json(done)
        return kept
    model, tokenizer, epochs = finetune(run, folder)
    columns = run.task.held_out.items()
    splits = {name: split_of(run, split, tokenizer, held_out_examples) for name, split in columns}
    batch_size = 2 * run.training.batch_size  # without gradients there is room for more
    outputs = {name: predict(model, split, batch_size, run.seed) for name, split in splits.items()}
    result = {
        "scores": {name: score(run.task.metric, *predicted) for name, predicted in outputs.items()},
        "lengths": [length for split in splits.values() for length in split.lengths],
        "cut": sum(sum(split.cut) for split in splits.values()),
        "epochs": epochs,
        "right": {name: rights(run.task.metric, splits[name].numbers, *outputs[name]) for name in splits},
    }
    files.write_json(done, result)
    discard_checkpoints(folder)
    return result


def rights(metric: str, numbers: list[int], outputs: Tensor, labels: Tensor) -> list[tuple[int, bool]] | None:
    """The number of each text, and whether it is right; None where the measure is none of right and wrong answers."""
    if metric != "accuracy":
        return None
    return list(zip(numbers, (outputs.argmax(-1) == labels).tolist(), strict=True))

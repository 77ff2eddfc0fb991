"""Table `glue`: one encoder fine-tuned on each task from the start with dense attention, with SMYRF, or with dense attention on shorter texts."""

import shutil
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from projects.smyrf.text.attention import score_memory
from projects.smyrf.text.cell import shape, trained_of
from projects.smyrf.text.config import Text
from projects.smyrf.text.finetuning import Trained, finetune, predict, split_of
from projects.smyrf.text.scores import score
from regard_lab.common import files
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Config


def measure(config: "Config", folder: Path) -> RunResult:
    """Fine-tune on every task and score its held-out splits, all in %; `average` is the mean of the columns.

    Beside it: `score_memory`, of texts as long as the cut; `real_score_memory`, of the held-out texts as long as they are; the share of held-out
    texts on which SMYRF differs from dense attention at all; the share that was cut; tokens a text.
    """
    text, attention = config.text, config.attention
    assert text is not None
    tasks = {name: run_task(trained_of(config, task), text, folder / name) for name, task in text.tasks.items()}
    columns = {column: value for task in tasks.values() for column, value in task["scores"].items()}
    lengths = [length for task in tasks.values() for length in task["lengths"]]
    sizes = {"rounds": attention.rounds, "cluster_size": attention.cluster_size}
    kind = (attention.name, attention.cluster_size)
    return RunResult(
        metrics={
            **columns,
            "average": fmean(columns.values()),
            "score_memory": score_memory(attention.name, [text.finetuning.tokens], **sizes),
            "real_score_memory": score_memory(attention.name, lengths, **sizes),
            **shape(lengths, *kind),
            "cut_texts": 100 * sum(task["cut"] for task in tasks.values()) / len(lengths),
        },
        exhibits={
            "tasks": {
                name: {**shape(task["lengths"], *kind), "train_loss": task["train_loss"]}
                for name, task in tasks.items()
            }
        },
    )


def run_task(trained: Trained, text: Text, folder: Path) -> dict[str, Any]:
    """Scores by column, the lengths of the held-out texts, how many were cut, and the training losses. Kept in `folder`: a task is not run twice."""
    done = folder / "task.json"
    if done.exists():
        found: dict[str, Any] = files.read_json(done)
        return found
    model, tokenizer, losses = finetune(trained, folder)
    columns = trained.task.held_out.items()
    splits = {name: split_of(trained, split, tokenizer, text.held_out_examples) for name, split in columns}
    batch_size = 2 * trained.finetuning.batch_size  # without gradients there is room for more
    outputs = {name: predict(model, split, batch_size, trained.seed) for name, split in splits.items()}
    result = {
        "scores": {name: score(trained.task.metric, *found) for name, found in outputs.items()},
        "lengths": [length for split in splits.values() for length in split.lengths],
        "cut": sum(sum(split.cut) for split in splits.values()),
        "train_loss": losses,
    }
    files.write_json(done, result)
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return result

"""Table `glue`: one encoder fine-tuned on each task from the start with dense attention, with SMYRF, or with dense attention on shorter texts."""

from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from projects.smyrf.tasks.text.finetuning import FinetuningRun, finetune, predict, run_of, split_of
from projects.smyrf.tasks.text.scores import length_statistics, score, score_memory
from regard_lab.common import files
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.kept import discard_checkpoints

if TYPE_CHECKING:
    from projects.smyrf.config import Config


def train(config: "Config", folder: Path) -> RunResult:
    """Fine-tune on every task and score its held-out splits, all in %; `average` is the mean of the columns.

    Beside it: `score_memory`, of texts as long as the cut; `real_score_memory`, of the held-out texts as long as they are; the share of held-out
    texts on which SMYRF differs from dense attention at all; the share that was cut; tokens per text.
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
    return RunResult(
        metrics={
            **columns,
            "average": fmean(columns.values()),
            "score_memory": score_memory(attention.name, [text.encoder.tokens], **sizes),
            "real_score_memory": score_memory(attention.name, lengths, **sizes),
            **length_statistics(lengths, *kind),
            "cut_texts": 100 * sum(task["cut"] for task in tasks.values()) / len(lengths),
        },
        exhibits={
            "tasks": {
                name: {**length_statistics(task["lengths"], *kind), "train_loss": task["train_loss"]}
                for name, task in tasks.items()
            }
        },
    )


def run_task(run: FinetuningRun, held_out_examples: int | None, folder: Path) -> dict[str, Any]:
    """Scores by column, the lengths of the held-out texts, how many were cut, and the training losses. Kept in `folder`: a task is not run twice."""
    done = folder / "task.json"
    if done.exists():
        kept: dict[str, Any] = files.read_json(done)
        return kept
    model, tokenizer, losses = finetune(run, folder)
    columns = run.task.held_out.items()
    splits = {name: split_of(run, split, tokenizer, held_out_examples) for name, split in columns}
    batch_size = 2 * run.training.batch_size  # without gradients there is room for more
    outputs = {name: predict(model, split, batch_size, run.seed) for name, split in splits.items()}
    result = {
        "scores": {name: score(run.task.metric, *predicted) for name, predicted in outputs.items()},
        "lengths": [length for split in splits.values() for length in split.lengths],
        "cut": sum(sum(split.cut) for split in splits.values()),
        "train_loss": losses,
    }
    files.write_json(done, result)
    discard_checkpoints(folder)
    return result

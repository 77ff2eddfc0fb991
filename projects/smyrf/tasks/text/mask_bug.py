"""Table `mask_bug`: what the order of masks in the released code does to a fine-tuning run. See `models/mask_order.py`."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from projects.smyrf.data.texts import Encoded, loader
from projects.smyrf.models.mask_order import wrong_rows
from projects.smyrf.models.text_classifier import put
from projects.smyrf.tasks.text.finetuning import predict, restored, run_of, split_of
from projects.smyrf.tasks.text.finetuning import train as train_weights
from projects.smyrf.tasks.text.scores import length_statistics, loss, score
from regard_lab.experiment.artefacts import artefact
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Config


def train(config: "Config", folder: Path) -> RunResult:
    """Accuracy (%) and cross entropy (nats) with the masks of inference in one order, after training with one order.

    The batches of inference are as large as those of training, and unsorted. `wrong_rows`: the share of their (text,
    head) rows whose mask is not their own, in %: 0 in the right order.
    """
    text, attention = config.text, config.attention
    assert text is not None
    task = next(iter(text.tasks.values()))
    ((column, split_name),) = task.held_out.items()
    run = run_of(config, task)
    modules = [f"regard.mechanisms.{attention.name}"]
    weights = artefact(train_weights, run, [task.data], source=run.source, root=Path.cwd(), modules=modules)
    model, tokenizer = restored(run, weights)
    model.reseed = put(
        model.encoder,
        attention.name,
        rounds=attention.rounds,
        cluster_size=attention.cluster_size,
        mask=text.inference_mask,
    )
    split = split_of(run, split_name, tokenizer, text.held_out_examples)
    batch_size = run.training.batch_size
    outputs, labels = predict(model, split, batch_size, config.seed, bucketed=run.bucketed)
    heads = model.encoder.config.num_attention_heads
    return RunResult(
        metrics={
            column: score(task.metric, outputs, labels),
            "test_loss": float(loss(outputs, labels)),
            "wrong_rows": share_of_wrong_rows(split, batch_size, heads) if text.inference_mask == "released" else 0.0,
            **length_statistics(split.lengths, attention.name, attention.cluster_size),
        }
    )


def share_of_wrong_rows(split: Encoded, batch_size: int, heads: int) -> float:
    """Rows with another text's mask over the batches of a split in its own order, in %."""
    masks = [ids != split.padding for ids, _, _ in loader(split, batch_size, bucketed=False)]
    wrong = torch.tensor([wrong_rows(mask, heads) for mask in masks]).sum()
    return 100 * float(wrong) / (heads * len(split))

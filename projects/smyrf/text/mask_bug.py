"""Table `mask_bug`: what the order of masks in the released code does to a fine-tuning run. See `mask_order.py`."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from projects.smyrf.text.attention import put
from projects.smyrf.text.cell import shape, trained_of
from projects.smyrf.text.data import Encoded, loader
from projects.smyrf.text.finetuning import predict, restored, split_of, train
from projects.smyrf.text.mask_order import wrong_rows
from projects.smyrf.text.scores import loss, score
from regard_lab.experiment.artefacts import artefact
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Config


def measure(config: "Config", folder: Path) -> RunResult:
    """Accuracy (%) and cross entropy (nats) with the masks of inference in one order, after training with one order.

    The batches of inference are as large as those of training, and unsorted. `wrong_rows`: the share of their (text, head) rows whose mask is not
    their own, in %: 0 in the right order.
    """
    text, attention = config.text, config.attention
    assert text is not None
    task = next(iter(text.tasks.values()))
    ((column, split_name),) = task.held_out.items()
    trained = trained_of(config, task)
    modules = [f"regard.mechanisms.{attention.name}"]
    weights = artefact(train, trained, [task.data], source=config.data.source, root=Path.cwd(), modules=modules)
    model, tokenizer = restored(trained, weights)
    sizes = {"rounds": attention.rounds, "cluster_size": attention.cluster_size}
    model.reseed = put(model.encoder, attention.name, mask=text.inference_mask, **sizes)
    split = split_of(trained, split_name, tokenizer, text.held_out_examples)
    batch_size = trained.finetuning.batch_size
    outputs, labels = predict(model, split, batch_size, config.seed, bucketed=trained.finetuning.bucketed)
    heads = model.encoder.config.num_attention_heads
    return RunResult(
        metrics={
            column: score(task.metric, outputs, labels),
            "test_loss": float(loss(outputs, labels)),
            "wrong_rows": share_of_wrong_rows(split, batch_size, heads) if text.inference_mask == "released" else 0.0,
            **shape(split.lengths, attention.name, attention.cluster_size),
        }
    )


def share_of_wrong_rows(split: Encoded, batch_size: int, heads: int) -> float:
    """Over the batches of a split in its own order, in %."""
    masks = [ids != split.padding for ids, _, _ in loader(split, batch_size, bucketed=False)]
    wrong = torch.tensor([wrong_rows(mask, heads) for mask in masks]).sum()
    return 100 * float(wrong) / (heads * len(split))

"""Fine-tune a pre-trained encoder with an attention in every layer, by the recipe of the config's `text.training`."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from projects.smyrf.config import AttentionName, Encoder, MaskOrder, TextTask
from projects.smyrf.data.texts import Batch, Encoded, encoded, loader
from projects.smyrf.models.text_classifier import Classifier, put
from projects.smyrf.tasks.text.scores import loss
from regard_lab.training.device import best_device
from regard_lab.training.pretrained import pretrained, tokenizer_of
from regard_lab.training.recipe import Training
from regard_lab.training.trainer import Task, fit

if TYPE_CHECKING:
    from projects.smyrf.config import Config

# What Lightning says of layers that are frozen, and in evaluation mode so that they have no dropout.
warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")

WEIGHTS = "weights.pt"


@dataclass(frozen=True)
class FinetuningRun:
    """Everything that decides the weights. `rounds` and `cluster_size` are 1 for softmax; `mask`: an order of masks, or none asked for."""

    source: str
    task: TextTask
    train_examples: int | None
    bucketed: bool
    attention: AttentionName
    rounds: int
    cluster_size: int
    mask: MaskOrder | None
    encoder: Encoder
    training: Training
    seed: int

    def put(self, model: Classifier) -> None:
        """Have the model run this attention."""
        model.reseed = put(
            model.encoder, self.attention, rounds=self.rounds, cluster_size=self.cluster_size, mask=self.mask
        )


def run_of(config: "Config", task: TextTask) -> FinetuningRun:
    """What decides the weights that a cell trains on a task. For softmax, the sizes of SMYRF's clusters decide nothing."""
    attention, text = config.attention, config.text
    assert text is not None
    clustered = attention.name == "smyrf"
    return FinetuningRun(
        source=config.data.source,
        task=task,
        train_examples=text.train_examples,
        bucketed=text.bucketed,
        attention=attention.name,
        rounds=attention.rounds if clustered else 1,
        cluster_size=attention.cluster_size if clustered else 1,
        mask=text.training_mask,
        encoder=text.encoder,
        training=text.training,
        seed=config.seed,
    )


class FinetuningTask(Task):
    """A task whose checkpoints hold only the weights that training changes."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.strict_loading = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        assert isinstance(self.model, Classifier)
        kept = {f"model.{name}" for name in self.model.trained()}
        checkpoint["state_dict"] = {name: x for name, x in checkpoint["state_dict"].items() if name in kept}


def untrained(run: FinetuningRun) -> tuple[Classifier, Any]:
    """The model before fine-tuning, with its attention, and its tokenizer."""
    name, root = run.encoder.checkpoint, Path.cwd()
    torch.manual_seed(run.seed)  # transformers draws what a checkpoint does not hold, such as RoBERTa's pooler
    encoder, tokenizer = pretrained(name, root), tokenizer_of(name, root)
    torch.manual_seed(run.seed)
    model = Classifier(encoder, run.task.classes, run.encoder)
    run.put(model)
    return model, tokenizer


def split_of(run: FinetuningRun, split: str, tokenizer: Any, examples: int | None) -> Encoded:
    """A split of the task's data as the model reads it."""
    return encoded(run.task, split, run.source, tokenizer, run.encoder.tokens, examples)


def finetune(run: FinetuningRun, folder: Path) -> tuple[Classifier, Any, list[float]]:
    """Fine-tune, resumed from what `folder` holds.

    No epoch is chosen: the last one's weights are the result, as in the released code, so nothing is validated on the way.

    Returns:
        The fine-tuned model, its tokenizer, and the training loss of each epoch.
    """
    model, tokenizer = untrained(run)
    split = split_of(run, run.task.train, tokenizer, run.train_examples)
    batches = loader(split, run.training.batch_size, seed=run.seed, bucketed=run.bucketed)
    model.train()  # transformers hands out models in evaluation mode, and Lightning leaves them so
    history = fit(
        FinetuningTask(model, batch_loss, run.training),
        batches,
        batches,
        seed=run.seed,
        folder=folder,
        best="train_loss",
        mode="min",
        options={"limit_val_batches": 0, "log_every_n_steps": 1},
    )
    return model, tokenizer, [epoch["train_loss"] for epoch in history.epochs]


def train(run: FinetuningRun, folder: Path) -> None:
    """Fine-tune and leave the changed weights in `folder`: an artefact, shared by all that run them."""
    model, _, _ = finetune(run, folder)
    torch.save(model.trained(), folder / WEIGHTS)


def restored(run: FinetuningRun, folder: Path) -> tuple[Classifier, Any]:
    """The model of an artefact of `train`, with the attention that it was trained with, and its tokenizer.

    Raises:
        ValueError: The folder holds the weights of another model.
    """
    model, tokenizer = untrained(run)
    weights = torch.load(folder / WEIGHTS, map_location="cpu", weights_only=True)
    unknown = model.load_state_dict(weights, strict=False).unexpected_keys
    if unknown or set(weights) != set(model.trained()):
        raise ValueError(f"{folder / WEIGHTS} does not hold the weights of this model")
    return model, tokenizer


def batch_loss(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The loss of a batch, by the name that the trainer minimises."""
    ids, kinds, labels = batch
    return {"loss": loss(model(ids, kinds), labels)}


@torch.inference_mode()
def predict(
    model: Classifier, split: Encoded, batch_size: int, seed: int, *, bucketed: bool = True
) -> tuple[Tensor, Tensor]:
    """Run a split through the model in evaluation mode, on a GPU if there is one.

    Args:
        model: The classifier.
        split: n texts.
        batch_size: Texts per batch.
        seed: Of SMYRF's directions, if they are drawn anew here too.
        bucketed: Batches are sorted by length.

    Returns:
        Outputs (n, ·) and labels (n), in the same order.
    """
    device = best_device()
    model.to(device).eval()
    torch.manual_seed(seed)
    pairs = [
        (model(ids.to(device), kinds.to(device)).float().cpu(), labels)
        for ids, kinds, labels in loader(split, batch_size, bucketed=bucketed)
    ]
    outputs, labels = zip(*pairs, strict=True)
    return torch.cat(outputs), torch.cat(labels)

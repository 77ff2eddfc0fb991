"""Fine-tune a pre-trained encoder with an attention in every layer: AdamW, a learning rate that falls linearly to 0, gradients clipped by norm."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from projects.smyrf.text.attention import put
from projects.smyrf.text.config import Finetuning, Task
from projects.smyrf.text.data import Batch, Encoded, encoded, loader
from projects.smyrf.text.model import Classifier
from projects.smyrf.text.scores import loss
from regard_lab.training.pretrained import pretrained, tokenizer_of
from regard_lab.training.trainer import Task as Training
from regard_lab.training.trainer import fit

# What Lightning says of layers that are frozen, and in evaluation mode so that they have no dropout.
warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")

WEIGHTS = "weights.pt"


@dataclass(frozen=True)
class Trained:
    """Everything that decides the weights. `rounds` and `cluster_size` are 1 for softmax; `mask`: an order of masks, or none asked for."""

    source: str
    task: Task
    attention: str
    rounds: int
    cluster_size: int
    mask: str | None
    finetuning: Finetuning
    seed: int

    def put(self, model: Classifier) -> None:
        """Have the model run this attention."""
        sizes = {"rounds": self.rounds, "cluster_size": self.cluster_size}
        model.reseed = put(model.encoder, self.attention, mask=self.mask, **sizes)


class Run(Training):
    """Training whose checkpoints hold only the weights that it changes."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.strict_loading = False

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        kept = {f"model.{name}" for name in self.model.trained()}
        checkpoint["state_dict"] = {name: x for name, x in checkpoint["state_dict"].items() if name in kept}


def untrained(trained: Trained) -> tuple[Classifier, Any]:
    """The model before fine-tuning, with its attention, and its tokenizer."""
    name, root = trained.finetuning.model, Path.cwd()
    encoder, tokenizer = pretrained(name, root), tokenizer_of(name, root)
    torch.manual_seed(trained.seed)
    model = Classifier(encoder, trained.task.classes, trained.finetuning)
    trained.put(model)
    return model, tokenizer


def split_of(trained: Trained, split: str, tokenizer: Any, examples: int | None) -> Encoded:
    """A split of the task's data as the model reads it."""
    return encoded(trained.task, split, trained.source, tokenizer, trained.finetuning.tokens, examples)


def finetune(trained: Trained, folder: Path) -> tuple[Classifier, Any, list[float]]:
    """The fine-tuned model, its tokenizer, and the training loss of each epoch. Goes on from what `folder` holds.

    There is no choice among epochs: the last one's weights are the result, as in the released code, so nothing is validated on the way.
    """
    settings = trained.finetuning
    model, tokenizer = untrained(trained)
    split = split_of(trained, trained.task.train, tokenizer, settings.train_examples)
    batches = loader(split, settings.batch_size, seed=trained.seed, bucketed=settings.bucketed)
    steps = settings.epochs * len(batches)
    model.train()  # transformers hands out models in evaluation mode, and Lightning leaves them so
    run = Run(model, batch_loss, lambda module: optimiser(module, settings, steps))
    history = fit(
        run,
        batches,
        batches,
        epochs=settings.epochs,
        seed=trained.seed,
        folder=folder,
        best="train_loss",
        mode="min",
        trainer_options={"gradient_clip_val": settings.clip, "limit_val_batches": 0, "log_every_n_steps": 1},
    )
    return model, tokenizer, [epoch["train_loss"] for epoch in history.epochs]


def train(trained: Trained, folder: Path) -> None:
    """Fine-tune and leave the changed weights in `folder`: an artefact, shared by all that run them."""
    model, _, _ = finetune(trained, folder)
    torch.save(model.trained(), folder / WEIGHTS)


def restored(trained: Trained, folder: Path) -> tuple[Classifier, Any]:
    """The model of an artefact of `train`, with the attention that it was trained with, and its tokenizer."""
    model, tokenizer = untrained(trained)
    weights = torch.load(folder / WEIGHTS, weights_only=True)
    unknown = model.load_state_dict(weights, strict=False).unexpected_keys
    if unknown or set(weights) != set(model.trained()):
        raise ValueError(f"{folder / WEIGHTS} does not hold the weights of this model")
    return model, tokenizer


def batch_loss(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    ids, kinds, labels = batch
    return {"loss": loss(model(ids, kinds), labels)}


def optimiser(model: nn.Module, settings: Finetuning, steps: int) -> Any:
    """AdamW whose learning rate falls linearly to 0 over all steps, without warm-up, in Lightning's form."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    adam = torch.optim.AdamW(
        weights, lr=settings.learning_rate, eps=settings.epsilon, weight_decay=settings.weight_decay
    )
    falling = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: max(0.0, 1 - step / steps))
    return {"optimizer": adam, "lr_scheduler": {"scheduler": falling, "interval": "step"}}


@torch.inference_mode()
def predict(
    model: Classifier, split: Encoded, batch_size: int, seed: int, *, bucketed: bool = True
) -> tuple[Tensor, Tensor]:
    """Outputs (n, ·) and labels (n) over a split, in evaluation mode. `seed`: of SMYRF's directions, if they are drawn anew here too."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    torch.manual_seed(seed)
    found = [
        (model(ids.to(device), kinds.to(device)).cpu(), labels)
        for ids, kinds, labels in loader(split, batch_size, bucketed=bucketed)
    ]
    outputs, labels = zip(*found, strict=True)
    return torch.cat(outputs), torch.cat(labels)

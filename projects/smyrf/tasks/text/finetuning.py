"""Fine-tune a pre-trained encoder with an attention in every layer, by the recipe of the config's `text.training`."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from projects.smyrf.config import AttentionName, Encoder, MaskOrder, Scheme, TextTask
from projects.smyrf.data.texts import Batch, Encoded, encoded, loader
from projects.smyrf.models.text_classifier import Classifier, put
from projects.smyrf.tasks.text.scores import loss
from regard_lab.common import files
from regard_lab.training.device import best_device
from regard_lab.training.pretrained import pretrained, tokenizer_of
from regard_lab.training.recipe import Training
from regard_lab.training.trainer import Batches, Task, fit

if TYPE_CHECKING:
    from projects.smyrf.config import Config

# What Lightning says of layers that are frozen, and in evaluation mode so that they have no dropout.
warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")

WEIGHTS = "weights.pt"
EPOCHS = "epochs.json"
Epochs = dict[str, list[float]]


@dataclass(frozen=True)
class FinetuningRun:
    """Everything that decides the weights. `rounds` and `cluster_size` are 1 for softmax; `mask`: an order of masks, or none asked for.

    `subset` decides which examples are taken where not all are.
    """

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
    scheme: Scheme = "asymmetric"
    subset: int = 0
    validation_examples: int | None = None

    def put(self, model: Classifier) -> None:
        """Have the model run this attention."""
        model.reseed = put(
            model.encoder,
            self.attention,
            rounds=self.rounds,
            cluster_size=self.cluster_size,
            scheme=self.scheme,
            mask=self.mask,
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
        scheme=attention.scheme if clustered else "asymmetric",
        subset=config.seed if text.by_seed else 0,
        validation_examples=text.validation_examples,
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
    return encoded(run.task, split, run.source, tokenizer, run.encoder.tokens, examples, run.subset)


def finetune(run: FinetuningRun, folder: Path) -> tuple[Classifier, Any, Epochs]:
    """Fine-tune, resumed from what `folder` holds.

    No epoch is chosen: the last one's weights are the result, as in the released code. A validation split only shows whether training had ended.

    Returns:
        The fine-tuned model, its tokenizer, and the loss of each epoch by the split's name, `train_loss` and `validation_loss`.
    """
    model, tokenizer = untrained(run)
    split = split_of(run, run.task.train, tokenizer, run.train_examples)
    batches = loader(split, run.training.batch_size, seed=run.seed, bucketed=run.bucketed)
    watched, options = batches, {"limit_val_batches": 0, "log_every_n_steps": 1}
    if run.task.validation is not None:
        validation = split_of(run, run.task.validation, tokenizer, run.validation_examples)
        watched, options = loader(validation, 2 * run.training.batch_size), {"log_every_n_steps": 1}
    model.train()  # transformers hands out models in evaluation mode, and Lightning leaves them so
    history = fit(
        FinetuningTask(model, batch_loss, run.training),
        batches,
        watched,
        seed=run.seed,
        folder=folder,
        best="train_loss",
        mode="min",
        options=options,
    )
    names = ["train_loss"] + ["validation_loss"] * (run.task.validation is not None)
    return model, tokenizer, {name: [epoch[name] for epoch in history.epochs] for name in names}


def train(run: FinetuningRun, folder: Path) -> None:
    """Fine-tune and leave the changed weights in `folder`: an artefact, shared by all that run them."""
    model, _, epochs = finetune(run, folder)
    torch.save(model.trained(), folder / WEIGHTS)
    files.write_json(folder / EPOCHS, epochs)


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
        Outputs (n, ·) and labels (n), in the order of the split.
    """
    device = best_device()
    model.to(device).eval()
    torch.manual_seed(seed)
    batches = loader(split, batch_size, bucketed=bucketed)
    assert isinstance(batches.sampler, Batches)
    order = torch.tensor([row for rows in batches.sampler.batches() for row in rows])
    outputs = torch.cat([model(ids.to(device), kinds.to(device)).float().cpu() for ids, kinds, _ in batches])
    return outputs[order.argsort()], split.labels

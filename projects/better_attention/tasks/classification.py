"""Texts and images, classified or rated by the encoder."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.better_attention.analyses.attention_maps import attention_maps
from projects.better_attention.config import Config, leaves_maps
from projects.better_attention.data.labelled import splits, subset
from projects.better_attention.models.encoder import Encoder
from projects.better_attention.tasks.training import Tensors, Trained, train_model
from regard_lab.experiment.items import ItemisedResult
from regard_lab.experiment.run_result import RunResult

EVALUATION_BATCH = 500  # larger batches only make evaluation faster


def train(config: Config, folder: Path) -> RunResult:
    """Train the configured encoder and measure it: by the epoch of best validation accuracy, as the paper does, and by the last one.

    Accuracies are in %, losses in nats per text or image; all in evaluation mode over whole splits. Of ratings there
    are root mean square errors, in the ratings' own points, and Pearson's correlation instead, and the best epoch is
    that of the least validation error.

    Args:
        config: Of an encoder.
        folder: Where checkpoints are kept, from which an interrupted run is resumed.
    """
    return train_regressor(config, folder) if config.data.target == "rating" else train_classifier(config, folder)


def train_classifier(config: Config, folder: Path) -> ItemisedResult:
    """`train` for classes, with what came out for each test example: 1 if its class was right, by the epoch of each metric."""
    trained, parts = train_encoder(config, folder)
    curves = trained.curves("train_loss", "validation_loss", "validation_accuracy")
    trained.use("last")
    last, last_hits = trained.scores(parts["test"]), hits(trained.model, *parts["test"])
    trained.use("best")
    best, fit = trained.scores(parts["test"]), trained.scores(parts["train"])
    return ItemisedResult(
        metrics={
            **costs(config, trained, parts["test"]),
            "train_accuracy": fit["accuracy"],
            "train_loss": fit["loss"],
            "validation_accuracy": max(curves["validation_accuracy"]),
            "test_accuracy": best["accuracy"],
            "test_loss": best["loss"],
            "last_epoch_test_accuracy": last["accuracy"],
        },
        curves=curves,
        exhibits=attention_maps(config, trained.model, parts["test"][0]) if leaves_maps(config) else {},
        items={"test_accuracy": hits(trained.model, *parts["test"]), "last_epoch_test_accuracy": last_hits},
    )


def train_regressor(config: Config, folder: Path) -> RunResult:
    """`train` for ratings."""
    trained, parts = train_encoder(config, folder)
    curves = trained.curves("train_loss", "validation_loss")
    trained.use("last")
    last = trained.scores(parts["test"])["loss"]
    trained.use("best")
    return RunResult(
        metrics={
            **costs(config, trained, parts["test"]),
            "train_rmse": trained.scores(parts["train"])["loss"] ** 0.5,
            "validation_rmse": min(curves["validation_loss"]) ** 0.5,
            "test_rmse": trained.scores(parts["test"])["loss"] ** 0.5,
            "test_correlation": correlation(trained.model, *parts["test"]),
            "last_epoch_test_rmse": last**0.5,
        },
        curves=curves,
    )


def train_encoder(config: Config, folder: Path) -> tuple[Trained[Encoder], dict[str, Tensors]]:
    """The trained encoder, and the splits that it was trained and measured on."""
    parts = budgeted_splits(config)

    def build() -> Encoder:
        model = Encoder(config.data, config.model)
        if config.data.image_size is not None:
            model.pixels.adapt(parts["train"][0])
        return model

    rating = config.data.target == "rating"
    trained = train_model(
        config,
        folder,
        build,
        squared_error if rating else cross_entropy,
        train=parts["train"],
        validation=parts["validation"],
        batch_size=EVALUATION_BATCH,
        best="validation_loss" if rating else "validation_accuracy",
        mode="min" if rating else "max",
    )
    return trained, parts


def budgeted_splits(config: Config) -> dict[str, Tensors]:
    """The splits as the budget cuts them."""
    whole, budget = splits(config.data, Path.cwd()), config.budget
    parts: dict[str, Tensors] = {"train": tuple(tensor[: budget.train_examples] for tensor in whole["train"])}
    return parts | {split: subset(whole[split], budget.held_out_examples) for split in ("validation", "test")}


def costs(config: Config, trained: Trained[Encoder], test: Tensors) -> dict[str, float]:
    """The costs of every trained model, and model_size_mib."""
    mib = sum(p.numel() * p.element_size() for p in trained.model.parameters()) / 2**20
    return {**trained.costs(test[:1], config.budget.repeats), "model_size_mib": mib}


def cross_entropy(model: nn.Module, batch: Tensors) -> dict[str, Tensor]:
    """Cross entropy (nats) and accuracy (%) of a batch; a model with one logit is scored by its sigmoid."""
    inputs, labels = batch
    logits = model(inputs)
    if logits.shape[-1] == 1:
        logit = logits.squeeze(-1)
        loss = F.binary_cross_entropy_with_logits(logit, labels.to(logit.dtype))
    else:
        loss = F.cross_entropy(logits, labels)
    return {"loss": loss, "accuracy": 100 * (predicted(logits) == labels).float().mean()}


def predicted(logits: Tensor) -> Tensor:
    """Logits (n, classes), or (n, 1) for two classes -> the classes (n,) int64."""
    return (logits.squeeze(-1) > 0).long() if logits.shape[-1] == 1 else logits.argmax(-1)


@torch.inference_mode()
def hits(model: nn.Module, inputs: Tensor, labels: Tensor) -> list[float]:
    """For each example of a split 1 if the model, in evaluation mode, says its label, else 0."""
    model.eval()
    device = next(model.parameters()).device
    said = torch.cat([predicted(model(part.to(device))).cpu() for part in torch.split(inputs, EVALUATION_BATCH)])
    return [float(right) for right in said == labels]


def squared_error(model: nn.Module, batch: Tensors) -> dict[str, Tensor]:
    """The mean squared error of ratings (n,) float32."""
    inputs, ratings = batch
    return {"loss": F.mse_loss(model(inputs).squeeze(-1), ratings)}


@torch.inference_mode()
def correlation(model: nn.Module, inputs: Tensor, ratings: Tensor) -> float:
    """Pearson's correlation of outputs and ratings; 0 for a model whose outputs are all the same."""
    model.eval()
    device = next(model.parameters()).device
    outputs = torch.cat(
        [model(part.to(device)).squeeze(-1).cpu() for part in torch.split(inputs, EVALUATION_BATCH)]
    ).double()
    if outputs.std() == 0:
        return 0.0
    return float(torch.corrcoef(torch.stack([outputs, ratings.double()]))[0, 1])

"""Train one cell: `python -m projects.social_groups.train experiment=court model.queries=sum model.self_attention=inter_intra seed=0`."""

import math
import sys
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from projects.social_groups.config import PROJECT, Config, Weights
from projects.social_groups.config import Training as TrainingConfig
from projects.social_groups.data import splits
from projects.social_groups.decoder_attention import pairs
from projects.social_groups.evaluate import predict, scenes_by_boxes, scores, threshold_of
from projects.social_groups.losses import group_losses
from projects.social_groups.matching import Targets
from projects.social_groups.metrics import partition
from projects.social_groups.model import SocialGroups
from projects.social_groups.persons import person_losses
from regard_lab.experiment.run_one import command_of
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.trainer import Task, fit, load_weights, loader

EVALUATION_BATCH = 100  # larger batches only make evaluation faster
SHOWN = 3  # scenes in a cell's exhibits
CURVES = ("train_loss", "validation_loss", "validation_points")


def train(config: Config, folder: Path) -> RunResult:
    """Train the configured model and measure it on the test scenes, with the weights of the epoch of least validation loss."""
    parts = splits(config.data, config.budget, Path.cwd())
    torch.manual_seed(config.seed)
    model = SocialGroups(config.data, config.model)
    steps = config.budget.epochs * math.ceil(len(parts["train"][0]) / config.training.batch_size)
    task = Scheduled(
        model,
        partial(score, weights=config.weights),
        lambda module: optimiser(module, config.training),
        config.training,
        steps,
    )
    history = fit(
        task,
        loader(parts["train"], config.training.batch_size, seed=config.seed),
        loader(parts["validation"], EVALUATION_BATCH),
        epochs=config.budget.epochs,
        seed=config.seed,
        folder=folder,
        best="validation_loss",
        mode="min",
        trainer_options={"gradient_clip_val": config.training.clip_norm},
    )
    load_weights(task, folder, "best")
    held, held_boxes, _, held_groups, held_activities = parts["validation"]
    threshold = threshold_of(predict(model, held), held_boxes, held_groups, held_activities)
    maps, boxes, _, groups, activities = parts["test"]
    predicted = predict(model, maps)
    slots = model.group_queries.slots
    return RunResult(
        metrics={
            **scores(predicted, boxes, groups, activities, threshold),
            "threshold": threshold,
            "majority_acc": majority(parts["train"][4], activities),
            "parameters": sum(p.numel() for p in model.parameters()),
            "pairs": pairs(config.model.self_attention, config.model.groups, slots) * config.model.decoder_layers,
            "seconds_per_epoch": median([epoch["train_time_s"] for epoch in history.epochs]),
        },
        curves={name: [epoch[name] for epoch in history.epochs] for name in CURVES},
        exhibits={"scenes": exhibits(predicted, boxes[:SHOWN], groups[:SHOWN], activities[:SHOWN], threshold)},
    )


class Scheduled(Task):
    """A task whose learning rate rises over the first steps and then falls as a cosine to nothing at the last."""

    def __init__(self, model: nn.Module, score: Any, optimiser: Any, training: TrainingConfig, steps: int) -> None:
        super().__init__(model, score, optimiser)
        self.training_config, self.steps = training, steps

    def configure_optimizers(self) -> Any:
        optimiser, warm = self.optimiser(self.model), self.training_config.warm_up_steps

        def rate(step: int) -> float:
            return (
                min(1.0, (step + 1) / (warm + 1)) * 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, self.steps))))
            )

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def score(model: nn.Module, batch: tuple[Tensor, ...], *, weights: Weights) -> dict[str, Tensor]:
    """The weighted loss of groups and persons, and its parts; each is a mean over true groups or persons, summed over layers."""
    maps, boxes, actions, groups, activities = batch
    group_output, person_output = model(maps)
    targets = Targets.of(
        boxes, groups, activities, members=group_output.points.shape[3], kinds=group_output.activities.shape[-1]
    )
    found = group_losses(group_output, targets, weights)
    found |= person_losses(person_output, boxes, actions, groups >= -1, weights)
    loss = torch.stack([getattr(weights, name) * value for name, value in found.items()]).sum()
    return {"loss": loss, **found}


def optimiser(model: nn.Module, training: TrainingConfig) -> torch.optim.Optimizer:
    """AdamW; the maps that say where to look learn ten times slower, as in Deformable DETR."""
    slow = [p for name, p in model.named_parameters() if "offsets" in name or name.startswith("reference")]
    rest = [p for name, p in model.named_parameters() if "offsets" not in name and not name.startswith("reference")]
    parts = [{"params": rest}, {"params": slow, "lr": training.learning_rate / 10}]
    return torch.optim.AdamW(parts, lr=training.learning_rate, weight_decay=training.weight_decay)


def majority(train: Tensor, test: Tensor) -> float:
    """Floor: the share (%) of test scenes whose first group does what most training groups do."""
    most = torch.bincount(train[train >= 0]).argmax()
    return 100 * float((test[:, 0] == most).float().mean())


def exhibits(
    predicted: Any, boxes: Tensor, groups: Tensor, activities: Tensor, threshold: float
) -> list[dict[str, Any]]:
    """What a figure needs to draw scenes: places, true groups, predicted groups (true boxes), in rounded numbers."""
    shown = scenes_by_boxes(predicted, boxes, groups, activities)["true"]
    drawn = []
    for number, (guesses, truth) in enumerate(shown):
        there = sorted(truth.persons)
        drawn.append(
            {
                "persons": {str(one): [round(x, 4) for x in boxes[number, one].tolist()] for one in there},
                "true": [
                    {"activity": a, "members": sorted(g)} for g, a in zip(truth.groups, truth.activities, strict=True)
                ],
                "predicted": [
                    {"activity": g.activity, "score": round(g.score, 3), "members": sorted(g.members)}
                    for g in partition(guesses, threshold)
                ],
            }
        )
    return drawn


if __name__ == "__main__":
    sys.exit(command_of(PROJECT))

"""Recognise the groups of a scene: train the network, and measure it on the test scenes."""

import math
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from projects.social_groups.config import Config, PointOrder, Weights
from projects.social_groups.data.fresh import training_batches
from projects.social_groups.data.splits import scenes_of, splits
from projects.social_groups.models.decoder_attention import pairs
from projects.social_groups.models.network import SocialGroups
from projects.social_groups.tasks.evaluation import Predicted, predict, scenes_by_boxes, scores, threshold_of, truths
from projects.social_groups.tasks.group_losses import Targets, group_losses
from projects.social_groups.tasks.metrics import partition
from projects.social_groups.tasks.person_losses import person_losses
from regard_lab.data.scenes import Scenes
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.recipe import Training
from regard_lab.training.trainer import Task, fit, load_weights, loader

EVALUATION_BATCH = 100  # larger batches only make evaluation faster
SHOWN = 3  # scenes in a cell's exhibits
CURVES = ("train_loss", "validation_loss", "validation_points", "train_scene_acc", "validation_scene_acc")


def train(config: Config, folder: Path) -> RunResult:
    """Train the configured model and measure it on the test scenes, with the weights of the epoch of least validation loss.

    Args:
        config: The cell's config.
        folder: Where checkpoints and logs go; training is resumed from it.

    Returns:
        The columns `scenes` of `columns.yaml`, curves of the losses, and a few scenes for the figures.
    """
    parts = splits(config.data, config.budget, Path.cwd())
    torch.manual_seed(config.seed)
    model = SocialGroups(config.data, config.model)
    task = Task(
        model,
        partial(score, weights=config.weights, order=config.data.order),
        config.training,
        groups=partial(parameter_groups, training=config.training),
    )
    history = fit(
        task,
        training_batches(config.data, config.budget, config.training.batch_size, config.seed, Path.cwd()),
        loader(
            parts["validation"], min(EVALUATION_BATCH, math.ceil(len(parts["validation"][0]) / config.training.devices))
        ),
        seed=config.seed,
        folder=folder,
        best="validation_loss",
        mode="min",
    )
    load_weights(task, folder, "best")
    held_out, held_out_boxes, _, held_out_groups, held_out_activities = parts["validation"]
    threshold = threshold_of(predict(model, held_out), held_out_boxes, held_out_groups, held_out_activities)
    maps, boxes, _, groups, activities = parts["test"]
    predicted = predict(model, maps)
    slots = model.group_queries.slots
    return RunResult(
        metrics={
            **scores(predicted, boxes, groups, activities, threshold),
            "threshold": threshold,
            "majority_acc": majority(
                scenes_of(config.data, Path.cwd())["train"], groups, activities, config.data.activities
            ),
            "parameters": sum(p.numel() for p in model.parameters()),
            "pairs": pairs(config.model.self_attention, config.model.groups, slots) * config.model.decoder_layers,
            "seconds_per_epoch": median([epoch["train_time_s"] for epoch in history.epochs]),
        },
        curves={name: [epoch[name] for epoch in history.epochs] for name in CURVES},
        exhibits={"scenes": exhibits(predicted, boxes[:SHOWN], groups[:SHOWN], activities[:SHOWN], threshold)},
    )


def score(
    model: nn.Module, batch: tuple[Tensor, ...], *, weights: Weights, order: PointOrder = "x"
) -> dict[str, Tensor]:
    """The weighted loss of groups and persons, and its terms; each is a mean over true groups or persons, summed over layers.

    `scene_acc` is the share of scenes with a group whose activity the last layer names, as the metric of that name has it.
    """
    maps, boxes, actions, groups, activities = batch
    group_output, person_output = model(maps)
    members, kinds = group_output.points.shape[3], group_output.activities.shape[-1]
    targets = Targets.of(boxes, actions, groups, activities, members=members, kinds=kinds, order=order)
    terms = group_losses(group_output, targets, weights)
    terms |= person_losses(person_output, boxes, actions, groups >= -1, weights)
    loss = torch.stack([getattr(weights, name) * value for name, value in terms.items()]).sum()
    hits, grouped = scene_hits(group_output.activities[-1].detach(), targets), targets.real.any(1).float()
    return {"loss": loss, **terms, "scene_acc": (hits * grouped).sum() / grouped.sum().clamp(min=1)}


def scene_hits(logits: Tensor, targets: Targets) -> Tensor:
    """1 for each scene in which the activity of highest score over all queries is one that most members do, else 0: logits (b, g, N_v) -> (b)."""
    doing = (targets.activities * targets.sizes[..., None]).sum(1)  # b N_v: members, as fractions of M
    named = logits.amax(1).argmax(-1, keepdim=True)
    return (doing.gather(-1, named).squeeze(-1) >= doing.amax(-1) - 1e-6).float()


def parameter_groups(model: nn.Module, training: Training) -> list[dict[str, Any]]:
    """All parameters; those that say where to look learn ten times slower, as in Deformable DETR."""
    slow = [p for name, p in model.named_parameters() if "offsets" in name or name.startswith("reference")]
    rest = [p for name, p in model.named_parameters() if "offsets" not in name and not name.startswith("reference")]
    return [{"params": rest}, {"params": slow, "lr": training.learning_rate / 10}]


def majority(train: Scenes, groups: Tensor, activities: Tensor, kinds: int) -> float:
    """Floor: `scene_acc` (%) of naming, in every test scene, the one activity that is right in most training scenes."""
    known = truths(torch.from_numpy(train.groups.astype(np.int64)), torch.from_numpy(train.activities.astype(np.int64)))
    right = [sum(kind in truth.scene_activities for truth in known) for kind in range(kinds)]
    most = right.index(max(right))
    grouped = [truth for truth in truths(groups, activities) if truth.groups]
    return 100 * float(np.mean([most in truth.scene_activities for truth in grouped])) if grouped else 0.0


def exhibits(
    predicted: Predicted, boxes: Tensor, groups: Tensor, activities: Tensor, threshold: float
) -> list[dict[str, Any]]:
    """What a figure needs to draw scenes: boxes, true groups, predicted groups (from true boxes), in rounded numbers."""
    shown = scenes_by_boxes(predicted, boxes, groups, activities)["true"]
    drawn = []
    for index, (guesses, truth) in enumerate(shown):
        persons = sorted(truth.persons)
        drawn.append(
            {
                "persons": {str(one): [round(x, 4) for x in boxes[index, one].tolist()] for one in persons},
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

"""Views of objects and the objects whole, as points."""

from pathlib import Path

import torch
from torch import Tensor

from projects.cab.config import Pcc
from regard_lab import data
from regard_lab.data.subsets import drawn


def cloud_pairs(task: Pcc, source: str) -> dict[str, tuple[Tensor, ...]]:
    """Of each split the views `(n, points, 3)` and their objects `(n, whole_points, 3)`, as many views as the task asks for.

    Raises:
        ValueError: The clouds have fewer points than the task asks for.
    """
    pairs: dict[str, tuple[Tensor, ...]] = {}
    for split, clouds in data.load(task.set, Path.cwd(), source).items():
        there = clouds.partial.shape[1], clouds.complete.shape[1]
        if there[0] < task.points or there[1] < task.whole_points:
            raise ValueError(
                f"{task.set} has views of {there[0]} points and objects of {there[1]},"
                f" pcc asks for points={task.points} and whole_points={task.whole_points}"
            )
        rows = sorted(drawn(range(len(clouds)), task.train_examples if split == "train" else task.held_out_examples))
        views = torch.from_numpy(clouds.partial[rows, : task.points].copy())
        pairs[split] = views, torch.from_numpy(clouds.complete[clouds.objects[rows], : task.whole_points].copy())
    return pairs

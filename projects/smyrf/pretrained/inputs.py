"""What the models of the table read, reviews or pictures; always the same ones for the same numbers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from projects.smyrf.pretrained.checkpoints import Checkpoint
from regard_lab import data
from regard_lab.data.subsets import drawn

LINE_BREAK = "<br />"
# The mean and standard deviation of ImageNet, which DINOv2 and most vision transformers were trained with.
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Wanted(NamedTuple):
    """Which inputs: `count` from number `first` on of a data set's split (of texts, in an order drawn once), each of `tokens` tokens, or patches."""

    reads: str
    data: str
    source: str
    split: str
    tokens: int
    first: int
    count: int


class Inputs(NamedTuple):
    """One tensor an input, ready for the model, with a batch of one; `labels` (n,) are 0 where there are none."""

    tensors: list[Tensor]
    labels: Tensor


def inputs_of(checkpoint: Checkpoint, wanted: Wanted, root: Path) -> Inputs:
    """The inputs; ValueError if the split has fewer."""
    split = data.load(wanted.data, root, wanted.source)[wanted.split]
    return {"texts": texts, "pictures": pictures}[wanted.reads](checkpoint, split, wanted)


def texts(checkpoint: Checkpoint, split: Any, wanted: Wanted) -> Inputs:
    """Texts that fill `tokens` tokens, cut to them."""
    rows: list[list[int]] = []
    labels: list[int] = []
    for text, label in drawn(list(split.rows()), None):
        ids = checkpoint.tokenizer(text.replace(LINE_BREAK, " "), truncation=True, max_length=wanted.tokens)[
            "input_ids"
        ]
        if len(ids) == wanted.tokens:
            rows.append(ids)
            labels.append(label)
        if len(rows) == wanted.first + wanted.count:
            break
    chosen = enough(rows, wanted)
    return Inputs([torch.tensor([row]) for row in chosen], torch.tensor(labels[wanted.first :]))


def enough(rows: list[list[int]], wanted: Wanted) -> list[list[int]]:
    """The rows from number `first` on; ValueError if there are not `count` of them."""
    if len(rows) < wanted.first + wanted.count:
        raise ValueError(
            f"{wanted.data}, {wanted.split}: only {len(rows)} inputs fill {wanted.tokens} tokens; {wanted.first + wanted.count} are asked for"
        )
    return rows[wanted.first :]


def pictures(checkpoint: Checkpoint, split: Any, wanted: Wanted) -> Inputs:
    """Pictures made as large as √tokens × √tokens patches."""
    end = wanted.first + wanted.count
    if end > len(split):
        raise ValueError(f"{wanted.data}, {wanted.split}: there are {len(split)} pictures; number {end} is asked for")
    side = round(wanted.tokens**0.5) * checkpoint.model.config.patch_size
    rows = torch.from_numpy(split.images[wanted.first : end])
    return Inputs([pixels(row, side) for row in rows], torch.from_numpy(split.labels[wanted.first : end]))


def pixels(picture: Tensor, side: int, mean: Sequence[float] = MEAN, sd: Sequence[float] = SD) -> Tensor:
    """A uint8 picture (height, width) or (height, width, 3) -> (1, 3, side, side), less the mean and over the standard deviation."""
    colours = picture if picture.ndim == 3 else picture[..., None].expand(*picture.shape, 3)
    x = colours.movedim(-1, 0)[None].float() / 255
    if x.shape[-2:] != (side, side):
        x = F.interpolate(x, size=(side, side), mode="bicubic", antialias=True).clamp(0, 1)
    return (x - torch.tensor(mean).view(1, 3, 1, 1)) / torch.tensor(sd).view(1, 3, 1, 1)

"""The inputs of table `pretrained_swap`, reviews or pictures; always the same ones for the same numbers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from projects.smyrf.data.pictures import standardised
from projects.smyrf.models.checkpoints import Checkpoint
from regard_lab import data
from regard_lab.data.subsets import drawn

LINE_BREAK = "<br />"


@dataclass(frozen=True)
class InputRange:
    """Which inputs: `count` from number `first` on of a data set's split (of texts, in one shuffled order), each of `tokens` tokens or patches."""

    reads: str
    data: str
    source: str
    split: str
    tokens: int
    first: int
    count: int


class Inputs(NamedTuple):
    """One tensor per input, ready for the model, with a batch of one, and its label: `labels` (n,)."""

    tensors: list[Tensor]
    labels: Tensor


def inputs_of(checkpoint: Checkpoint, wanted: InputRange, root: Path) -> Inputs:
    """The inputs; ValueError if the split has fewer."""
    split = data.load(wanted.data, root, wanted.source)[wanted.split]
    return {"texts": texts, "pictures": pictures}[wanted.reads](checkpoint, split, wanted)


def texts(checkpoint: Checkpoint, split: Any, wanted: InputRange) -> Inputs:
    """Texts of at least `tokens` tokens, cut there."""
    rows: list[list[int]] = []
    labels: list[int] = []
    for text, label in drawn(list(split.rows()), None):
        read = checkpoint.tokenizer(text.replace(LINE_BREAK, " "), truncation=True, max_length=wanted.tokens)
        ids: list[int] = read["input_ids"]
        if len(ids) == wanted.tokens:
            rows.append(ids)
            labels.append(label)
        if len(rows) == wanted.first + wanted.count:
            break
    chosen = enough(rows, wanted)
    return Inputs([torch.tensor([row]) for row in chosen], torch.tensor(labels[wanted.first :]))


def enough(rows: list[list[int]], wanted: InputRange) -> list[list[int]]:
    """The rows from number `first` on; ValueError if there are not `count` of them."""
    if len(rows) < wanted.first + wanted.count:
        raise ValueError(
            f"{wanted.data}, {wanted.split}: only {len(rows)} inputs fill {wanted.tokens} tokens; {wanted.first + wanted.count} are needed"
        )
    return rows[wanted.first :]


def pictures(checkpoint: Checkpoint, split: Any, wanted: InputRange) -> Inputs:
    """Pictures resized to √tokens × √tokens patches."""
    end = wanted.first + wanted.count
    if end > len(split):
        raise ValueError(f"{wanted.data}, {wanted.split}: there are {len(split)} pictures; {end} are needed")
    side = round(wanted.tokens**0.5) * checkpoint.model.config.patch_size
    rows = torch.from_numpy(split.images[wanted.first : end])
    return Inputs([standardised(row[None], side) for row in rows], torch.from_numpy(split.labels[wanted.first : end]))

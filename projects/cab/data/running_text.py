"""Running text as subwords, and as windows of them."""

import functools
from pathlib import Path

import torch
from torch import Tensor

from projects.cab.config import Lm, Mlm
from projects.cab.data.masking import masked
from regard_lab import data
from regard_lab.data.subsets import drawn
from regard_lab.data.subwords import encode, learn_tokenizer

HELD_OUT_SEED = 15  # of the masks of validation and test, the same for every model


def text_windows(task: Lm, source: str) -> dict[str, tuple[Tensor]]:
    """The windows of each split, as many as the task asks for: `(n, context + 1)`, the last subword of one being the first of the next."""
    sizes = {"train": task.train_examples}
    return {
        split: cut_text(text, task.context, sizes.get(split, task.held_out_examples))
        for split, text in load_subwords(tuple(task.sets), source, task.vocabulary).items()
    }


def masked_windows(task: Mlm, source: str) -> dict[str, tuple[Tensor, ...]]:
    """The windows of each split for a masked language model, as many as the task asks for.

    Args:
        task: Data sets, sizes and the share that is masked.
        source: The kind of source that the sets come from.

    Returns:
        Of training, windows `(n, length)`; of validation and test, windows as the model sees them `(n, length)`, the
        places that it is asked for `(n, k)`, and the windows.
    """
    splits: dict[str, tuple[Tensor, ...]] = {}
    for split, text in load_subwords(tuple(task.sets), source, task.vocabulary).items():
        size = task.train_examples if split == "train" else task.held_out_examples
        windows = cut_text(text, task.length, size)[0][:, :-1].contiguous()
        if split == "train":
            splits[split] = (windows,)
        else:
            draws = torch.Generator().manual_seed(HELD_OUT_SEED)
            seen, chosen = masked(windows.long(), task.masked, task.vocabulary, draws)
            splits[split] = (seen.to(windows.dtype), chosen, windows)
    return splits


def cut_text(text: Tensor, context: int, size: int | None) -> tuple[Tensor]:
    """`size` windows `(n, context + 1)` of those that follow each other without a gap, drawn, or all.

    Raises:
        ValueError: The text is shorter than one window.
    """
    count = (len(text) - 1) // context
    if count < 1:
        raise ValueError(f"a text of {len(text)} subwords has no window of {context} + 1")
    starts = torch.tensor(sorted(drawn(range(count), size))) * context
    return (text[starts[:, None] + torch.arange(context + 1)],)


@functools.cache
def load_subwords(names: tuple[str, ...], source: str, vocabulary: int) -> dict[str, Tensor]:
    """Each split's texts, set after set, as numbers of subwords that are learned from the training splits; read once per process.

    Args:
        names: Data sets of texts.
        source: The kind of source that they come from.
        vocabulary: How many subwords there are.

    Returns:
        By split: `(n,)`, int16, or int32 for a larger vocabulary.
    """
    splits: dict[str, list[str]] = {}
    for name in names:
        for split, texts in data.load(name, Path.cwd(), source).items():
            splits.setdefault(split, []).extend(texts.texts)
    tokenizer = learn_tokenizer(splits["train"], vocabulary)
    kind = torch.int16 if vocabulary <= torch.iinfo(torch.int16).max else torch.int32
    return {
        split: torch.tensor([number for ids in encode(tokenizer, texts) for number in ids], dtype=kind)
        for split, texts in splits.items()
    }

"""The section of a config that the table `pretrained_swap` uses. Imports no torch."""

from dataclasses import dataclass
from typing import Any


@dataclass
class Pretrained:
    """A pre-trained model (`checkpoint`: a name of `regard_lab.models`, or of the Hugging Face hub) and what it `reads`: `texts` or `pictures`.

    An encoder's features are sorted into `classes` by a linear probe, fitted on `train_examples`; a causal language model has 0 of both and
    predicts the next tokens. `examples` is what a seed reads; each has its own. The first `timed` of them are timed, with each attention in turns.
    """

    reads: str
    checkpoint: str
    tokens: int
    examples: int
    train_examples: int
    classes: int
    timed: int


def check(section: Pretrained, config: Any) -> None:
    """Raises ValueError, with the numbers, for a section that cannot run."""
    if section.reads not in (known := ("texts", "pictures")):
        raise ValueError(f"pretrained.reads must be one of {', '.join(known)}, got {section.reads!r}")
    if section.tokens < 2:
        raise ValueError(f"pretrained.tokens must be at least 2, got {section.tokens}")
    if not 1 <= section.timed <= section.examples:
        raise ValueError(
            f"pretrained.timed must be 1 to pretrained.examples, got {section.timed} of {section.examples} examples"
        )
    if section.classes and not 2 <= section.classes <= section.train_examples:
        raise ValueError(
            f"a probe needs 2 classes and an example of each, got {section.classes} classes and {section.train_examples} examples"
        )
    if config.attention.name == "smyrf" and config.attention.cluster_size >= section.tokens:
        raise ValueError(
            f"one cluster of {config.attention.cluster_size} holds all {section.tokens} tokens: that is dense attention"
        )

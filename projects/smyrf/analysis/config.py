"""The section of a config that the tables of this folder use. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from projects.smyrf.config import Config

MODELS = ("encoder", "vit", "gan")


@dataclass
class Analysis:
    """A trained model whose dense attention is looked at.

    `model` is what the tables call it (`encoder`: a BERT-type encoder reading reviews; `vit`: a vision transformer; `gan`: the generator of the
    config's section `gan`), `checkpoint` a model of `regard_lab.models`, or a name or folder of Hugging Face, and null for the generator. An input
    has `tokens` tokens (of a picture: its patches and the class token; of a generator: the places of its map that attends); each cell takes
    `examples` inputs of its own, chosen by its seed. `layers`: those measured, counted from 0; null for all.
    """

    model: str
    checkpoint: str | None
    tokens: int
    examples: int
    layers: list[int] | None


def check(section: Analysis, config: Config) -> None:
    """Raises ValueError, with the numbers, for what cannot run."""
    from regard.mechanisms.smyrf.hashing import SCHEMES

    if section.model not in MODELS:
        raise ValueError(f"analysis.model must be one of {', '.join(MODELS)}, got {section.model!r}")
    if config.attention.scheme not in SCHEMES:
        raise ValueError(f"attention.scheme must be one of {', '.join(SCHEMES)}, got {config.attention.scheme!r}")
    if section.tokens < 2 or section.examples < 1:
        raise ValueError(
            f"tokens must be at least 2 and examples at least 1, got {section.tokens} and {section.examples}"
        )
    if section.model == "vit" and round((section.tokens - 1) ** 0.5) ** 2 != section.tokens - 1:
        raise ValueError(f"a square picture has a class token and s² patches, got tokens = {section.tokens}")
    if (section.model == "gan") == (config.gan is None):
        raise ValueError(f"analysis.model=gan goes with a section gan, and no other does; got {section.model!r}")
    if config.gan is not None and section.tokens != config.gan.network.attention_resolution**2:
        raise ValueError(
            f"the generator attends to a map of {config.gan.network.attention_resolution} × as many places, got tokens = {section.tokens}"
        )
    if config.attention.cluster_size > section.tokens:
        sizes = f"cluster_size = {config.attention.cluster_size} and tokens = {section.tokens}"
        raise ValueError(f"a cluster holds at most all tokens, got {sizes}")
    if section.layers is not None and (not section.layers or min(section.layers) < 0):
        raise ValueError(f"analysis.layers must be numbers from 0 on, or null for all, got {section.layers}")

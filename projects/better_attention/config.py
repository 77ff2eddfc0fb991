"""The typed config of a cell, and what the lab must know of this project. Imports no torch: see `regard_lab.experiment.project`."""

from dataclasses import dataclass

from regard_lab.experiment.project import Project

# The layers of `controls.py`, by name; any other attention is one of the library's.
CONTROLS = (
    "softmax_narrow",
    "softmax_mixed",
    "uniform_mixed",
    "mixer",
    "super_identity",
    "orthogonal",
    "super_per_head",
    "super_unmasked",
)


@dataclass
class Data:
    """Which data set and how it enters the model. Texts have `vocabulary` and `length` (words), images `image_size` and `patch` (pixels).

    `channels` and `augment` are of images: colours a pixel, and whether training turns, mirrors and zooms them. `part` picks one kind of texts out of
    a set of several. `target` is `class` or `rating`: a set of rated texts can be either.
    """

    name: str
    source: str
    classes: int
    vocabulary: int | None
    length: int | None
    image_size: int | None
    patch: int | None
    channels: int = 1
    augment: bool = False
    part: str | None = None
    target: str = "class"


@dataclass
class Model:
    """The encoder. `hidden` and `head` are widths of dense layers, in order."""

    attention: str
    width: int
    heads: int
    blocks: int
    norm: str
    norm_epsilon: float
    hidden: list[int]
    activation: str
    dropout: float
    pool: str
    head: list[int]
    head_activation: str
    head_dropout: float


@dataclass
class Training:
    """Optimiser and batches; `devices`, `strategy` and `precision` are Lightning's."""

    optimiser: str
    learning_rate: float
    weight_decay: float
    batch_size: int
    devices: int
    strategy: str
    precision: str


@dataclass
class Budget:
    """What a scale spends: epochs, training examples and examples of each held-out split (None: all), repeats of a timing.

    `attention_maps`: of how many test examples the first seed's cells of Standard and Super leave a map.
    """

    epochs: int
    train_examples: int | None
    repeats: int
    held_out_examples: int | None = None
    attention_maps: int = 0


@dataclass
class Translation:
    """What a translator has beside `Model`, whose blocks are the encoder's, and how it is asked: `beam` hypotheses a sentence, `shown` ones shown."""

    decoder_blocks: int
    beam: int
    length_penalty: float
    shown: int


@dataclass
class Lm:
    """What a language model has beside `Model`: the base of its rotary positions, biases or none, and the windows held out of each split."""

    rotary_base: float
    bias: bool
    held_out: int | None


@dataclass
class Inference:
    """What is timed: a `layer`, a `model`, or that model in `int8`; on `batch` inputs, for about `seconds` in all."""

    part: str
    batch: int
    seconds: float


@dataclass
class Config:
    """Everything that makes a cell what it is. The sections that a table does not use are null."""

    data: Data
    model: Model
    training: Training
    budget: Budget
    seed: int
    scale: str
    translation: Translation | None = None
    lm: Lm | None = None
    inference: Inference | None = None


FOUR = ("softmax", "optimised", "efficient", "super")


def leaves_maps(config: Config) -> bool:
    """Does this cell leave attention maps for a figure?"""
    return config.budget.attention_maps > 0 and config.seed == 0 and config.model.attention in ("softmax", "super")


def modules(config: Config) -> list[str]:
    """What a cell reaches by name: its mechanism or control; at inference all four, timed in turns."""
    names = FOUR if config.inference else (config.model.attention,)
    return [
        f"projects.better_attention.controls@{name}" if name in CONTROLS else f"regard.mechanisms.{name}"
        for name in names
    ]


PROJECT = Project(
    name="better_attention", schema=Config, check="projects.better_attention.check:check", modules=modules
)

"""The typed config of a cell, and what the lab must know of this project. Imports no torch: see `regard_lab.experiment.project`."""

from dataclasses import dataclass

from regard_lab.experiment.project import Project


@dataclass
class Data:
    """Which texts, and how they enter the model.

    `kind`: `texts` (a labelled set of the lab), `ratings` (its rated sentences: positive or negative) or `made` (a task of
    `synthetic.py`). `kept`: the labels that are used, in the order of the model's classes; null for all. `length`: tokens at most.
    """

    name: str
    source: str
    kind: str
    kept: list[int] | None
    classes: int
    length: int


@dataclass
class Model:
    """The classifier whose attention is looked at.

    `name`: `encoder` (a small transformer with free key and value widths, trained here, whose only way to the classes is one attention query)
    or `bert` (a pre-trained encoder, of which the last layer's first token is classified). `pooling`: `attention`, or `uniform` for a
    model that is trained with even weights in the explained layer. `weights`: `trained`, or `random` for the initial ones.
    """

    name: str
    pooling: str
    weights: str
    vocabulary: int
    width: int
    heads: int
    blocks: int
    key_width: int
    value_width: int
    dropout: float
    checkpoint: str
    frozen: bool


@dataclass
class Training:
    """Optimiser, batches, and how many texts."""

    epochs: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    train_texts: int
    validation_texts: int
    test_texts: int


@dataclass
class Analysis:
    """What is looked at.

    `attention`: a definition (`E1` … `E6`), `raw`, or a control. `texts`: test texts that are looked at, cut to `length` tokens if that is
    set; `rows`: rows of a whole attention matrix. `ranges`: weights of a text whose range is computed; `occluded`: texts of
    which each token is left out in turn. `shuffles`, `adversaries`, `adversary_steps`: of Jain and Wallace's tests.
    """

    attention: str
    texts: int
    length: int | None
    rows: int
    ranges: int
    occluded: int
    shuffles: int
    adversaries: int
    adversary_steps: int


@dataclass
class Config:
    """Everything that makes a cell what it is."""

    data: Data
    model: Model
    training: Training
    analysis: Analysis
    seed: int
    scale: str


def modules(config: Config) -> list[str]:
    """What a cell reaches by name only: a pre-trained model that comes in a package."""
    return ["regard_lab.models.minilm"] if config.model.checkpoint == "minilm" else []


PROJECT = Project(name="explaining", schema=Config, check="projects.explaining.check:check", modules=modules)

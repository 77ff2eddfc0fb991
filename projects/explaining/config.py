"""The typed config of a cell, and what the lab must know of this project. Imports no torch: see `regard_lab.experiment.project`."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveInt

from regard_lab.common.bounds import Share
from regard_lab.common.errors import nearest
from regard_lab.experiment.project import Project
from regard_lab.training.recipe import Training

PACKAGED = ("minilm", "smollm2", "vit")
SYNTHETIC = ("majority", "lookup")


@dataclass
class Data:
    """Which texts, how many, and how they enter the model.

    `kind`: `texts` (a labelled set of the lab), `ratings` (its rated sentences: positive or negative), `synthetic` (a
    task of `data.py`) or `images`. `kept`: the labels that are used, in the order of the model's classes; null for all.
    `length`: tokens at most.
    """

    name: str
    source: Literal["package", "folder"]
    kind: Literal["texts", "ratings", "synthetic", "images"]
    kept: list[int] | None
    classes: Annotated[int, Field(ge=2)]
    length: Annotated[int, Field(ge=4, le=512)]
    train_texts: PositiveInt
    validation_texts: PositiveInt
    test_texts: PositiveInt


@dataclass
class Model:
    """The classifier whose attention is explained.

    `name`: `encoder` (a small transformer with free key and value widths, trained here, in which one attention query is the only path to the classes)
    or `bert` (a pre-trained encoder, of which the last layer's first token is classified); of `pretrained`, a model as it is, all heads are looked at
    and nothing is trained. `query`: whose the explained query is, `learned` (one
    for all texts) or `first` (that of the first token). `pooling`: `attention`, or `uniform` for a model that is trained with uniform weights in
    the explained layer. `weights`: `trained`, or `random` for the initial ones.
    """

    name: Literal["encoder", "bert", "pretrained"]
    query: Literal["learned", "first"]
    pooling: Literal["attention", "uniform"]
    weights: Literal["trained", "random"]
    vocabulary: Annotated[int, Field(ge=3)]  # padding, the unknown word, and one more
    width: PositiveInt
    heads: PositiveInt
    blocks: NonNegativeInt
    key_width: PositiveInt
    value_width: PositiveInt
    dropout: Share
    checkpoint: str
    frozen: bool


@dataclass
class Analysis:
    """What is analysed.

    `attention`: a definition, `raw`, or a control. `texts`: how many test texts, cut to `length` tokens if that is set;
    `rows`: rows of a whole attention matrix. `ranges`: weights of a text whose range is computed; `occluded`: texts of
    which each token is left out in turn. `shuffles`, `adversaries`, `adversary_steps`: of Jain and Wallace's tests.
    """

    attention: Literal[
        "raw",
        "E1",
        "E2",
        "E3",
        "E4",
        "E5",
        "E6",
        "uniform",
        "permuted",
        "simplex",
        "matrix",
        "null_step",
        "column_step",
    ]
    texts: PositiveInt
    length: PositiveInt | None
    rows: PositiveInt
    ranges: PositiveInt
    occluded: PositiveInt
    shuffles: PositiveInt
    adversaries: PositiveInt
    adversary_steps: PositiveInt


@dataclass
class Config:
    """Everything that makes a cell what it is."""

    data: Data
    model: Model
    training: Training
    analysis: Analysis
    seed: int
    scale: str


def check(config: Config) -> None:
    """What relates several keys, before any work.

    Raises:
        ValueError: Values that do not fit each other, with the numbers.
    """
    data, model, analysis = config.data, config.model, config.analysis
    if data.kind == "synthetic":
        if data.name not in SYNTHETIC:
            known = ", ".join(SYNTHETIC)
            raise ValueError(f"data.name must be one of {known}, got {data.name!r}.{nearest(data.name, SYNTHETIC)}")
        if model.name == "bert":
            raise ValueError(f"the task {data.name} has no words that a pre-trained model knows; use model=encoder")
    if model.name == "bert" and model.query != "first":
        raise ValueError(f"the explained query of model.name=bert is the first token's, got model.query={model.query}")
    if data.kind == "images" and model.name != "pretrained":
        raise ValueError(f"images are for model.name=pretrained, got {model.name}")
    if data.kept is not None and len(data.kept) != data.classes:
        raise ValueError(f"data.kept must name data.classes = {data.classes} labels, got {data.kept}")
    if analysis.texts > data.test_texts:
        raise ValueError(
            f"analysis.texts = {analysis.texts} is more than data.test_texts = {data.test_texts}, from which they are taken"
        )
    if analysis.length is not None and not 2 <= analysis.length <= data.length:
        raise ValueError(f"analysis.length must be 2 to data.length = {data.length}, got {analysis.length}")


def modules(config: Config) -> list[str]:
    """What a cell reaches only by name: a pre-trained model that comes in a package."""
    return [f"regard_lab.models.{config.model.checkpoint}"] if config.model.checkpoint in PACKAGED else []


PROJECT = Project(name="explaining", schema=Config, check="projects.explaining.config:check", modules=modules)

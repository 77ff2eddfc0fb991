"""The typed config of a cell, and what the lab must know of this project. Imports no torch: see `regard_lab.experiment.project`."""

from dataclasses import dataclass

from regard_lab.experiment.project import Project


@dataclass
class Data:
    """The scenes and how they become maps. `grid`: rows and columns of the finest map; `noise`: standard deviation a pixel;
    `members`: most members of a group."""

    name: str
    source: str
    activities: int
    actions: int
    members: int
    grid: list[int]
    channels: int
    noise: float


@dataclass
class Model:
    """The transformer. `queries` and `self_attention` name the designs under test, `mechanism` the attention of Regard that they are made of."""

    queries: str
    self_attention: str
    mechanism: str
    groups: int
    person_queries: int
    width: int
    heads: int
    levels: int
    points: int
    encoder_layers: int
    decoder_layers: int
    feed_forward: int
    dropout: float


@dataclass
class Weights:
    """Weights of the parts of the matching cost and of the loss."""

    cost_activity: float
    cost_size: float
    cost_points: float
    activity: float
    size: float
    points: float
    person_class: float
    person_box: float
    person_overlap: float
    person_action: float


@dataclass
class Training:
    """Optimiser and batches."""

    learning_rate: float
    weight_decay: float
    batch_size: int
    clip_norm: float
    warm_up_steps: int


@dataclass
class Budget:
    """What a scale spends: epochs, scenes to train on and to test on (None: all), repeats of a timing, scenes a batch of it."""

    epochs: int
    train_scenes: int | None
    test_scenes: int | None
    repeats: int
    timing_batch: int


@dataclass
class Config:
    """Everything that makes a cell what it is. `probe`: what a row of the table of shortcuts looks at."""

    data: Data
    model: Model
    weights: Weights
    training: Training
    budget: Budget
    probe: str
    seed: int
    scale: str


def modules(config: Config) -> list[str]:
    """The one module that a cell reaches by name: its mechanism."""
    return [f"regard.mechanisms.{config.model.mechanism}"]


PROJECT = Project(name="social_groups", schema=Config, check="projects.social_groups.check:check", modules=modules)

"""The typed config of a cell, and what the lab must know of this project. Imports no torch: see `regard_lab.experiment.project`.

The tables need different things, so a config has a section for each area; those that a table does not use are null.
"""

from dataclasses import dataclass

from projects.smyrf.analysis.config import Analysis
from projects.smyrf.gan.config import Gan
from projects.smyrf.pretrained.config import Pretrained
from projects.smyrf.speed.config import Speed
from projects.smyrf.text.config import Text
from regard_lab import models
from regard_lab.experiment.project import Project


@dataclass
class Data:
    """The data set and the kind of source it comes from (`package` or `hub`); `none` where a table reads no data set."""

    name: str
    source: str


@dataclass
class Attention:
    """The attention that a cell puts in: `softmax`, or `smyrf` with its rounds, keys and queries a cluster, hash and merge of rounds."""

    name: str
    rounds: int
    cluster_size: int
    scheme: str
    dedup: bool


@dataclass
class Config:
    """Everything that makes a cell what it is."""

    data: Data
    attention: Attention
    text: Text | None
    gan: Gan | None
    analysis: Analysis | None
    pretrained: Pretrained | None
    speed: Speed | None
    seed: int
    scale: str


def modules(config: Config) -> list[str]:
    """What a cell reaches by name: its mechanism, and pre-trained models that come in a package."""
    sections = (config.pretrained, config.analysis)
    checkpoints = {section.checkpoint for section in sections if section} | (
        {config.text.finetuning.model} if config.text else set()
    )
    packaged = sorted(checkpoints & set(models.names()))
    return [f"regard.mechanisms.{config.attention.name}", *(f"regard_lab.models.{name}" for name in packaged)]


PROJECT = Project(name="smyrf", schema=Config, check="projects.smyrf.check:check", modules=modules)

"""The typed config of a cell, and what the lab must know of this project. Imports no torch: see `regard_lab.experiment.project`.

The tables need different things, so a config has a section for each; those that a table does not use are null. Three resolvers put into a config
what a cell depends on beside code and data, so that a change of it is a change of the cell:

    ${cab_published:}                                 the published numbers
    ${cab_constants:quick,causal_self}                the frozen constants of our own index, at a scale; null where there are none yet
    ${cab_own:mine.py:Mine}                           the source file of a user's own mechanism; nothing for a registered one
"""

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from regard_lab.common.errors import UserError
from regard_lab.common.files import combined_sha256, sha256
from regard_lab.experiment.project import Project
from regard_lab.experiment.table_file import read_table

FOLDER = Path(__file__).parent
NONE = "none"  # in the place of a mechanism's name: the layer is left out


@dataclass
class Data:
    """The source that data sets come from (`package` or `folder`)."""

    name: str
    source: str


@dataclass
class Attention:
    """The mechanism under test: a registered name, `none`, or a user's own `file.py:Class` or `module:Class`, with options of its own.

    `sha256` is that of a user's file, and empty for what this repository knows.
    """

    name: str
    sha256: str
    options: dict[str, Any] = field(default_factory=dict)


@dataclass
class Published:
    """What is recomputed from the published numbers, whose file has this checksum; each table uses some of the names."""

    sha256: str
    pattern: str | None
    attention: str | None
    task: str | None
    metric: str | None
    first: str | None
    second: str | None
    cost: str | None


@dataclass
class Fitting:
    """Optimiser, batches and budget of a training."""

    learning_rate: float
    weight_decay: float
    batch_size: int
    epochs: int
    train_examples: int | None
    held_out_examples: int | None
    devices: int
    strategy: str
    precision: str


@dataclass
class Lstf:
    """An encoder–decoder for forecasts of long sequences. Lengths count steps; the decoder is given the last `label_length` known ones."""

    sets: list[str]
    length: int
    label_length: int
    horizon: int
    width: int
    heads: int
    feed_forward: int
    encoder_layers: int
    decoder_layers: int
    dropout: float
    fitting: Fitting


@dataclass
class Lm:
    """A decoder of characters, trained on `context` of them."""

    set: str
    context: int
    width: int
    heads: int
    feed_forward: int
    layers: int
    dropout: float
    fitting: Fitting


@dataclass
class Translation:
    """An encoder–decoder from English to Spanish; lengths and vocabulary count words."""

    set: str
    vocabulary: int
    length: int
    width: int
    heads: int
    feed_forward: int
    encoder_layers: int
    decoder_layers: int
    dropout: float
    fitting: Fitting


@dataclass
class Efficiency:
    """One layer of each mechanism at growing lengths; `repeats` is how often each call is timed."""

    lengths: list[int]
    batch: int
    width: int
    heads: int
    repeats: int


@dataclass
class Certification:
    """Which properties certification asks for: all, or all but compilation, which takes nine tenths of the time."""

    compiled: bool


@dataclass
class Config:
    """Everything that makes a cell what it is."""

    data: Data
    pattern: str
    attention: Attention
    published: Published | None
    lstf: Lstf | None
    lm: Lm | None
    translation: Translation | None
    efficiency: Efficiency | None
    certification: Certification | None
    constants: dict[str, dict[str, float]] | None
    seed: int
    scale: str


def modules(config: Config) -> list[str]:
    """What a cell reaches by name: its mechanism, and softmax attention in the places that are not under test."""
    return modules_of(config.attention.name)


def modules_of(attention: str) -> list[str]:
    """The modules behind a mechanism's name. A user's own lies outside of the repository; its checksum stands in the config."""
    known = attention != NONE and ":" not in attention
    return ["regard.mechanisms.softmax", *([f"regard.mechanisms.{attention}"] if known else [])]


def frozen_constants(scale: str, pattern: str) -> DictConfig | None:
    """The constants of our index in `constants.yaml`: metric -> mean and standard deviation; `None` where nothing is frozen."""
    path = FOLDER / "constants.yaml"
    frozen = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = ((frozen or {}).get(scale) or {}).get(pattern)
    return OmegaConf.create(found["metrics"]) if found else None


def own_checksum(target: str) -> str:
    """The SHA-256 of the file behind `file.py:Class` or `module:Class`; nothing for a registered mechanism."""
    place, colon, _ = target.rpartition(":")
    if not colon:
        return ""
    if place.endswith(".py"):
        path = Path(place)
    else:
        import importlib.util

        try:
            spec = importlib.util.find_spec(place)
        except (ImportError, ValueError):
            spec = None
        path = Path(spec.origin) if spec is not None and spec.origin else Path(place)
    if not path.is_file():
        raise UserError(f"there is no module {place!r}; for a file write path/to/file.py:Class")
    return sha256(path)


def published_checksum() -> str:
    """The SHA-256 of every published number that `published.py` reads, with the names of its table, row and column."""
    files = sorted(path for kind in ("raw", "published") for path in (FOLDER / "tables").glob(f"{kind}_*.yaml"))
    return _checksum(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in files))


@functools.lru_cache(maxsize=1)
def _checksum(files: tuple[tuple[Path, int, int], ...]) -> str:
    tables = [read_table(FOLDER, path.stem) for path, _, _ in files]
    return combined_sha256(
        f"{table.name} {sorted(row.key.items())} {sorted(row.values.items())}"
        for table in tables
        for row in table.published
    )


PROJECT = Project(
    name="cab",
    schema=Config,
    check="projects.cab.check:check",
    modules=modules,
    resolvers={"cab_published": published_checksum, "cab_constants": frozen_constants, "cab_own": own_checksum},
)

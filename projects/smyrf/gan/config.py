"""The section of a config that the tables of this folder use. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from projects.smyrf.gan.recipe import Network, Trained, Training

if TYPE_CHECKING:
    from projects.smyrf.config import Config


@dataclass
class Evaluation:
    """`images` are generated in batches of `batch_size`, each with SMYRF directions of its own; a batch is timed `timings` times.

    `judge` scores them against the split `reference`: `classifier`, trained here for `classifier_epochs`, or `inception`, Inception-v3. `clamp` cuts
    the latents (0: not at all). `shown` are the classes of the pictures that a figure shows. `released`: swap the generator of `checkpoint`."""

    images: int
    batch_size: int
    timings: int
    judge: str
    classifier_epochs: int
    reference: str
    clamp: float
    shown: list[int]
    released: bool


@dataclass
class Gan:
    """`trained`: what the generator was trained with, for tables that swap it. `checkpoint`: the file of a released generator."""

    network: Network
    training: Training
    trained: Trained
    evaluation: Evaluation
    checkpoint: str | None


@dataclass
class Judge:
    """All that decides the classifier that scores pictures."""

    data: str
    source: str
    image_size: int
    colours: int
    classes: int
    epochs: int


def check(gan: Gan, config: Config) -> None:
    """Raises ValueError, with the numbers in it, for a section that cannot run."""
    network, training, evaluation = gan.network, gan.training, gan.evaluation
    blocks = len(network.generator) - 1
    if network.image_size != 4 * 2**blocks:
        raise ValueError(
            f"gan.network.generator: {blocks} blocks make pictures of {4 * 2**blocks} pixels,"
            f" got image_size={network.image_size}"
        )
    edges = [8 * 2**block for block in range(blocks)]
    if network.attention_resolution not in edges:
        raise ValueError(f"gan.network.attention_resolution must be one of {edges}, got {network.attention_resolution}")
    channels = network.width * network.generator[edges.index(network.attention_resolution) + 1]
    if channels % 8:
        raise ValueError(
            f"the map that attends must have a multiple of 8 channels, got {channels} with gan.network.width={network.width}"
        )
    if network.hierarchical and network.latent % (blocks + 1):
        raise ValueError(f"gan.network.latent must divide into {blocks + 1} slices, got {network.latent}")
    if training.chunks % training.snapshots:
        raise ValueError(f"gan.training: {training.chunks} chunks do not divide into {training.snapshots} snapshots")
    for where, used in (("attention", config.attention), ("gan.trained", gan.trained)):
        check_attention(where, used.name, used.rounds, used.cluster_size, network.attention_resolution**2)
    if evaluation.judge not in ("classifier", "inception"):
        raise ValueError(f"gan.evaluation.judge must be classifier or inception, got {evaluation.judge}")
    if most := [label for label in evaluation.shown if not 0 <= label < network.classes]:
        raise ValueError(f"gan.evaluation.shown: there is no class {most[0]} among {network.classes}")
    if evaluation.images < 2 * evaluation.batch_size:
        raise ValueError(
            f"gan.evaluation.images must fill two batches of {evaluation.batch_size}, got {evaluation.images}"
        )


def check_attention(where: str, name: str, rounds: int, cluster_size: int, queries: int) -> None:
    """The attention's name, and clusters that divide queries and keys alike."""
    if name not in ("softmax", "smyrf"):
        raise ValueError(f"{where}.name must be softmax or smyrf, got {name}")
    if rounds < 1:
        raise ValueError(f"{where}.rounds must be at least 1, got {rounds}")
    if name == "smyrf" and (cluster_size < 4 or cluster_size % 4 or queries % cluster_size):
        raise ValueError(
            f"{where}.cluster_size must be a multiple of 4 that divides the {queries:,} queries (a cluster has a quarter as"
            f" many keys), got {cluster_size}"
        )

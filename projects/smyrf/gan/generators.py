"""Trained generators with the attention of a cell in them, and the pictures that they make."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from projects.smyrf.gan.networks import Attend, Generator
from projects.smyrf.gan.recipe import Network, Recipe, Trained
from projects.smyrf.gan.released import released
from projects.smyrf.gan.training import drawn, train
from regard.mechanisms import smyrf, softmax  # noqa: F401 (a cell depends on what its generator was trained with and on what it runs)
from regard_lab import data
from regard_lab.experiment.artefacts import artefact
from regard_lab.training.trainer import seed_of

if TYPE_CHECKING:
    from projects.smyrf.config import Attention, Config

LATENTS, DIRECTIONS, SHOWN = 11, 12, 13  # streams of a cell's seed
State = Mapping[str, Tensor]


def trained(config: "Config", attention: "Trained | Attention") -> Path:
    """The folder of the generator trained with `attention` under the cell's seed; trained now if nobody has.

    A dense one has no rounds and clusters, so that cells which differ in them share it.
    """
    assert config.gan is not None
    dense_one = attention.name == "softmax"
    used = Trained(attention.name, 1 if dense_one else attention.rounds, 4 if dense_one else attention.cluster_size)
    root, name, source = Path.cwd(), config.data.name, config.data.source
    recipe = Recipe(
        data=name,
        source=source,
        network=config.gan.network,
        training=config.gan.training,
        attention=used,
        seed=config.seed,
    )
    data.ensure(name, root, source)
    modules = [f"regard.mechanisms.{used.name}"]
    return artefact(train, recipe, [name], source=source, root=root, modules=modules)


def snapshots(folder: Path) -> list[State]:
    """The weights of a training's snapshots, the earliest first; the last is the trained generator."""
    return [torch.load(path, map_location="cpu", weights_only=True) for path in sorted(folder.glob("generator-*.pt"))]


def weights(config: "Config") -> State:
    """The generator that a cell swaps: the released one of `gan.checkpoint`, or the one trained with `gan.trained`."""
    assert config.gan is not None
    if config.gan.evaluation.released:
        return released(config.gan.checkpoint)
    return snapshots(trained(config, config.gan.trained))[-1]


def generator(network: Network, state: State, attention: "Trained | Attention") -> Generator:
    """A generator in evaluation mode, with `attention` in its block."""
    options = {name: getattr(attention, name) for name in ("scheme", "dedup") if hasattr(attention, name)}
    attend = Attend(attention.name, attention.rounds, attention.cluster_size, **options)
    with torch.device("meta"):  # no time for weights that are replaced at once
        made = Generator(network, attend)
    made.load_state_dict(state, assign=True)
    return made.to(memory_format=torch.channels_last).eval()


@torch.no_grad()
def pictures(
    made: Generator, images: int, batch_size: int, seed: int, clamp: float = 0.0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of generated pictures and their labels, as many of each class; latents from `seed`, new SMYRF directions in each batch.

    The released code draws directions at every call; so does this, from (seed, batch), so that a second run gives the same. Latents are cut
    at ±`clamp`, if that is not 0.
    """
    random = torch.Generator().manual_seed(seed_of(seed, LATENTS))
    for batch, start in enumerate(range(0, images, batch_size)):
        labels = torch.arange(start, min(start + batch_size, images)) % made.network.classes
        made.attention.attend.seed = seed_of(seed, DIRECTIONS, batch)
        yield made(latents(len(labels), made.network, random, clamp), labels), labels


@torch.no_grad()
def of_classes(made: Generator, labels: list[int], seed: int, clamp: float = 0.0) -> Tensor:
    """One picture a label; the same latents whatever the attention."""
    random = torch.Generator().manual_seed(seed_of(seed, SHOWN))
    made.attention.attend.seed = seed_of(seed, DIRECTIONS)
    return made(latents(len(labels), made.network, random, clamp), torch.tensor(labels))


def latents(size: int, network: Network, random: torch.Generator, clamp: float) -> Tensor:
    """(size, latent), standard normal, cut at ±clamp if that is not 0."""
    made, _ = drawn(size, network, random, None)
    return made.clamp(-clamp, clamp) if clamp else made


def dense(attention: "Attention") -> "Attention":
    """The same, dense."""
    return replace(attention, name="softmax")

"""Trained generators with the attention of a cell in them, and the pictures that they generate."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from projects.smyrf.config import Network, TrainingAttention
from projects.smyrf.models.biggan import Attend, Generator
from projects.smyrf.models.biggan_checkpoint import released
from projects.smyrf.tasks.gan.training import GeneratorRun, random_inputs, train
from regard.mechanisms import smyrf, softmax  # noqa: F401 (a cell depends on what its generator was trained with and on what it runs)
from regard_lab import data
from regard_lab.experiment.artefacts import artefact
from regard_lab.training.device import best_device
from regard_lab.training.kept import offer
from regard_lab.training.trainer import seed_of

if TYPE_CHECKING:
    from projects.smyrf.config import Attention, Config

LATENTS, DIRECTIONS, SHOWN = 11, 12, 13  # streams of a cell's seed
State = Mapping[str, Tensor]


def trained(config: "Config", attention: "TrainingAttention | Attention") -> Path:
    """The folder of the generator trained with `attention` and the cell's seed; trained now if it is not there.

    A dense one has no rounds and clusters, so that cells which differ in them share it.
    """
    assert config.gan is not None
    sizes = (1, 4) if attention.name == "softmax" else (attention.rounds, attention.cluster_size)
    used = TrainingAttention(attention.name, *sizes)
    root, name, source = Path.cwd(), config.data.name, config.data.source
    run = GeneratorRun(
        data=name,
        source=source,
        network=config.gan.network,
        training=config.gan.training,
        attention=used,
        seed=config.seed,
    )
    data.ensure(name, root, source)
    modules = [f"regard.mechanisms.{used.name}"]
    return artefact(train, run, [name], source=source, root=root, modules=modules)


def snapshots(folder: Path) -> list[State]:
    """The weights of a training's snapshots, the earliest first; the last is the trained generator."""
    return [torch.load(path, map_location="cpu", weights_only=True) for path in sorted(folder.glob("generator-*.pt"))]


def weights(config: "Config") -> State:
    """The generator that a cell swaps: the released one of `gan.checkpoint`, or the one trained with `gan.trained`."""
    assert config.gan is not None
    if config.gan.evaluation.released:
        return released(config.gan.checkpoint)
    return snapshots(trained(config, config.gan.trained))[-1]


def generator(network: Network, state: State, attention: "TrainingAttention | Attention") -> Generator:
    """A generator in evaluation mode on the best device, with `attention` in its block."""
    options = {name: getattr(attention, name) for name in ("scheme", "dedup") if hasattr(attention, name)}
    attend = Attend(attention.name, attention.rounds, attention.cluster_size, **options)
    with torch.device("meta"):  # weights that are replaced at once need not be drawn
        model = Generator(network, attend)
    model.load_state_dict(state, assign=True)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model.to(best_device(float64=True)).eval()
    offer(model)
    return model


@torch.no_grad()
def pictures(
    model: Generator, images: int, batch_size: int, seed: int, clamp: float = 0.0
) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of generated pictures and their labels on the model's device, equally many of each class.

    The released code draws directions at every call; so does this, from (seed, batch), so that a second run gives the same.

    Args:
        model: The generator.
        images: Pictures in all.
        batch_size: Pictures per batch.
        seed: Of the latents, and of SMYRF's directions, which are new in each batch.
        clamp: Latents are cut at ±clamp, if that is not 0.
    """
    random, device = torch.Generator().manual_seed(seed_of(seed, LATENTS)), device_of(model)
    for batch, start in enumerate(range(0, images, batch_size)):
        labels = (torch.arange(start, min(start + batch_size, images)) % model.network.classes).to(device)
        model.attention.attend.seed = seed_of(seed, DIRECTIONS, batch)
        yield model(latents(len(labels), model.network, random, clamp).to(device), labels), labels


@torch.no_grad()
def of_classes(model: Generator, labels: list[int], seed: int, clamp: float = 0.0) -> Tensor:
    """One picture per label; the same latents whatever the attention."""
    random = torch.Generator().manual_seed(seed_of(seed, SHOWN))
    model.attention.attend.seed = seed_of(seed, DIRECTIONS)
    device = device_of(model)
    shown: Tensor = model(
        latents(len(labels), model.network, random, clamp).to(device), torch.tensor(labels).to(device)
    )
    return shown.cpu()


def device_of(model: Generator) -> torch.device:
    """Where a generator is."""
    return next(model.parameters()).device


def latents(size: int, network: Network, random: torch.Generator, clamp: float) -> Tensor:
    """(size, latent), standard normal, cut at ±clamp if that is not 0."""
    normal, _ = random_inputs(size, network, random, None)
    return normal.clamp(-clamp, clamp) if clamp else normal


def dense(attention: "Attention") -> "Attention":
    """The attention with softmax for its name."""
    return replace(attention, name="softmax")

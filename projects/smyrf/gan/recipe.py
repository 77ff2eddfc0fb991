"""What decides a trained generator, apart from what is done with it later, so that no change of that asks for another training. Imports no torch."""

from dataclasses import dataclass


@dataclass
class Network:
    """A BigGAN. `generator` and `discriminator` are the channels after each step, in units of `width`: the generator's first is that of its
    4 × 4 map, the discriminator's first that after its first block. `shared` is the width of the class embedding that all norms share (0:
    none). `hierarchical`: each block gets a slice of the latent of its own. `attention_resolution`: the edge of the map that attends;
    `gamma`: the gain of its attention, as training begins."""

    image_size: int
    colours: int
    classes: int
    width: int
    generator: list[int]
    discriminator: list[int]
    latent: int
    shared: int
    hierarchical: bool
    attention_resolution: int
    gamma: float = 0.0


@dataclass
class Training:
    """Hinge loss and two Adams. A chunk of `chunk_steps` generator steps ends in a checkpoint; `snapshots` of the averaged generator are kept.

    `average` is the weight of the past in that average; `precision` is Lightning's."""

    batch_size: int
    discriminator_steps: int
    chunks: int
    chunk_steps: int
    snapshots: int
    generator_rate: float
    discriminator_rate: float
    beta1: float
    beta2: float
    epsilon: float
    average: float
    precision: str


@dataclass
class Trained:
    """The attention that a generator is trained with: `softmax`, or `smyrf` with its rounds and queries a cluster."""

    name: str
    rounds: int
    cluster_size: int


@dataclass
class Recipe:
    """All that decides what a trained generator is, its code and its data apart."""

    data: str
    source: str
    network: Network
    training: Training
    attention: Trained
    seed: int

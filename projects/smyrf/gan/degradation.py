"""The same latents and classes at less and less memory, without retraining: table and figure `biggan_degradation`."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from projects.smyrf.gan.generators import dense, generator, of_classes, pictures, weights
from projects.smyrf.gan.networks import Generator
from projects.smyrf.gan.pictures import as_bytes
from projects.smyrf.gan.swap import score_memory
from regard_lab.measured import Measured
from regard_lab.pictures import encode, grid

if TYPE_CHECKING:
    from projects.smyrf.project import Config


def run(config: "Config", folder: Path) -> Measured:
    """Compare pictures with those that the same latents give with dense attention.

    pixel_distance   mean absolute difference, in % of the range from black to white
    similarity       structural similarity, 1 for the same picture
    The exhibit `pictures` holds one picture a class of `gan.evaluation.shown`, one below the other.
    """
    assert config.gan is not None
    evaluation = config.gan.evaluation
    state = weights(config)
    swapped = generator(config.gan.network, state, config.attention)
    original = generator(config.gan.network, state, dense(config.attention))
    distances, similarities = [], []
    for one, other in zip(*(made_by(made, config) for made in (swapped, original)), strict=True):
        distances.append((one - other).abs().mean((1, 2, 3)))
        similarities.append(structural_similarity_index_measure(one, other, data_range=2.0, reduction="none").flatten())
    shown = as_bytes(of_classes(swapped, evaluation.shown, config.seed, evaluation.clamp))
    return Measured(
        metrics={
            "score_memory": score_memory(config.attention, swapped.network.attention_resolution**2),
            "pixel_distance": 50 * float(torch.cat(distances).double().mean()),
            "similarity": float(torch.cat(similarities).double().mean()),
        },
        exhibits={"pictures": encode(grid(shown, columns=1))},
    )


def made_by(made: Generator, config: "Config") -> list[Tensor]:
    assert config.gan is not None
    evaluation = config.gan.evaluation
    batches = pictures(made, evaluation.images, evaluation.batch_size, config.seed, evaluation.clamp)
    return [batch for batch, _ in batches]

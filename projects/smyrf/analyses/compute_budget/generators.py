"""Tables `biggan_swap`, `celeba_training`: generators, their trainings, and the scores of their pictures."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from projects.smyrf.analyses.compute_budget.work import Work, attention_flops, cached, counted, examples
from projects.smyrf.config import Config, Gan, Network
from projects.smyrf.models.biggan import Attend, Discriminator, Generator

# Inception-v3 on 299 × 299 pixels: 5.713 · 10⁹ multiply-adds, by torchvision's page of its weights.
INCEPTION = 2 * 5.713e9


class Nothing(nn.Module):
    """Takes the place of a generator's attention; keeps the sizes of its inputs."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.sizes = {"heads": 1, "n": q.shape[2], "m": k.shape[2], "d": q.shape[3], "e": v.shape[3]}
        return v.mean(2, keepdim=True) + q.mean(3, keepdim=True) + k.mean((2, 3), keepdim=True)


@dataclass(frozen=True)
class Costs:
    """Operations per picture, beside attention: to generate it; of the discriminator on it, forward and backward to its
    own weights; of both networks, forward and backward to the generator's weights. `sizes` are those of its attention.
    """

    generated: int
    discriminated: int
    adversarial: int
    sizes: dict[str, int]


def costs_of(network: Network) -> Costs:
    """Counted on the two networks."""
    with torch.device("meta"):
        generator, discriminator = Generator(network, Attend("softmax")).eval(), Discriminator(network).eval()
        latent, label = torch.zeros(1, network.latent), torch.zeros(1, dtype=torch.long)
    nowhere = Nothing()
    generator.attention.attend = nowhere  # type: ignore[assignment]
    with torch.no_grad():
        picture = generator(latent, label)
        generated = counted(lambda: generator(latent, label))
    discriminated = counted(lambda: discriminator(picture, label).sum().backward())
    discriminator.requires_grad_(False)
    adversarial = counted(lambda: discriminator(generator(latent, label), label).sum().backward())
    return Costs(generated, discriminated, adversarial, nowhere.sizes)


def gan_costs(config: Config, name: str | None = None) -> tuple[Costs, int]:
    """The costs of a cell's networks, and its attention's own on a picture, forward."""
    assert config.gan is not None
    costs: Costs = cached(repr(config.gan.network), lambda: costs_of(config.gan.network))  # type: ignore[union-attr]
    sizes, name = dict(costs.sizes), name or config.attention.name
    if name == "softmax":  # the fused kernel wants one width, see `networks.Attend`
        sizes["d"] = max(sizes["d"], sizes["e"])
    return costs, attention_flops(name, config.attention, sizes)


def of_swaps(cells: Iterable[Config]) -> list[Work]:
    """Table `biggan_swap` with released weights: each cell generates its pictures, and those of dense attention to compare them with."""
    works = []
    for config in cells:
        gan = gan_of(config)
        (costs, own), (_, dense) = gan_costs(config), gan_costs(config, "softmax")
        timed = (gan.evaluation.timings + 1) * gan.evaluation.batch_size
        works.append(Work("pictures generated", gan.evaluation.images + timed, costs.generated + own))
        works.append(Work("pictures generated", gan.evaluation.images, costs.generated + dense))
        works.append(judged(config, sets=1))
    return works


def of_trainings(cells: Iterable[Config]) -> list[Work]:
    """Table `celeba_training`: every cell is a training, its snapshots scored. A step is `discriminator_steps` of the discriminator and one more."""
    works = []
    for config in cells:
        gan = gan_of(config)
        training, (costs, own) = gan.training, gan_costs(config)
        # The discriminator reads real pictures and generated ones.
        parts = training.discriminator_steps * (costs.generated + own + 2 * costs.discriminated)
        step = training.batch_size * (parts + costs.adversarial + 3 * own)
        works.append(Work("generator steps", training.chunks * training.chunk_steps, step, gpu=True))
        works.append(Work("pictures generated", training.snapshots * gan.evaluation.images, costs.generated + own))
        works.append(judged(config, sets=training.snapshots))
    return works


def gan_of(config: Config) -> Gan:
    """The section of a table that has one."""
    assert config.gan is not None
    return config.gan


def judged(config: Config, sets: int) -> Work:
    """Inception-v3 on the real pictures once and on each set of generated ones twice: once for the distance and once for the score."""
    evaluation = gan_of(config).evaluation
    real = examples(config, config.data.name, evaluation.reference)
    return Work("pictures through Inception-v3", real + sets * 2 * evaluation.images, INCEPTION)

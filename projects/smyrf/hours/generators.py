"""Tables `biggan_swap`, `celeba_training`: generators, their trainings, and the scores of their pictures."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from projects.smyrf.config import Config
from projects.smyrf.gan.config import Gan
from projects.smyrf.gan.networks import Attend, Discriminator, Generator
from projects.smyrf.gan.recipe import Network
from projects.smyrf.hours.counting import attention_flops, counted, once
from projects.smyrf.hours.work import Work, examples

INCEPTION = (
    2 * 5.713e9
)  # Inception-v3 on 299 × 299 pixels: 5.713 · 10⁹ multiply-adds, by torchvision's page of its weights


class Nothing(nn.Module):
    """In the place of a generator's attention; keeps the sizes of what it is given."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        self.sizes = {"heads": 1, "n": q.shape[2], "m": k.shape[2], "d": q.shape[3], "e": v.shape[3]}
        return v.mean(2, keepdim=True) + q.mean(3, keepdim=True) + k.mean((2, 3), keepdim=True)


@dataclass(frozen=True)
class Costs:
    """Of one picture, beside attention: making it; the discriminator on it, forward and backward to its own weights; both networks, forward and
    backward to the generator's weights. `sizes` are those of its attention."""

    made: int
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
        made = counted(lambda: generator(latent, label))
    discriminated = counted(lambda: discriminator(picture, label).sum().backward())
    discriminator.requires_grad_(False)
    adversarial = counted(lambda: discriminator(generator(latent, label), label).sum().backward())
    return Costs(made, discriminated, adversarial, nowhere.sizes)


def gan_costs(config: Config, name: str | None = None) -> tuple[Costs, int]:
    """The costs of a cell's networks, and its attention's own on a picture, forward."""
    assert config.gan is not None
    costs: Costs = once(repr(config.gan.network), lambda: costs_of(config.gan.network))  # type: ignore[union-attr]
    sizes, name = dict(costs.sizes), name or config.attention.name
    if name == "softmax":  # the fused kernel wants one width, see `networks.Attend`
        sizes["d"] = max(sizes["d"], sizes["e"])
    return costs, attention_flops(name, config.attention, sizes)


def of_swaps(cells: Iterable[Config]) -> list[Work]:
    """Table `biggan_swap` with released weights: each cell makes its pictures, and those of dense attention to compare them with."""
    found = []
    for config in cells:
        gan = gan_of(config)
        (costs, own), (_, dense) = gan_costs(config), gan_costs(config, "softmax")
        timed = (gan.evaluation.timings + 1) * gan.evaluation.batch_size
        found.append(Work("pictures made", gan.evaluation.images + timed, costs.made + own))
        found.append(Work("pictures made", gan.evaluation.images, costs.made + dense))
        found.append(judged(config, sets=1))
    return found


def of_trainings(cells: Iterable[Config]) -> list[Work]:
    """Table `celeba_training`: every cell a training, its snapshots scored. A step is `discriminator_steps` of the discriminator and one more."""
    found = []
    for config in cells:
        gan = gan_of(config)
        training, (costs, own) = gan.training, gan_costs(config)
        parts = training.discriminator_steps * (
            costs.made + own + 2 * costs.discriminated
        )  # real pictures and made ones
        step = training.batch_size * (parts + costs.adversarial + 3 * own)
        found.append(Work("generator steps", training.chunks * training.chunk_steps, step, gpu=True))
        found.append(Work("pictures made", training.snapshots * gan.evaluation.images, costs.made + own))
        found.append(judged(config, sets=training.snapshots))
    return found


def gan_of(config: Config) -> Gan:
    assert config.gan is not None
    return config.gan


def judged(config: Config, sets: int) -> Work:
    """Inception-v3 on the real pictures once and on each set of made ones twice: once for the distance and once for the score."""
    evaluation = gan_of(config).evaluation
    real = examples(config, config.data.name, evaluation.reference)
    return Work("pictures through Inception-v3", real + sets * 2 * evaluation.images, INCEPTION)

"""Train a BigGAN: hinge loss, both networks by Adam, an average of the generator's weights; resumable to the last bit.

    L_D = E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y'))        L_G = -E D(G(z, y'), y')        z ~ N(0, I), y' uniform

What Lightning calls an epoch is a chunk of generator steps here: it ends in a checkpoint with both networks, both optimisers, the average and the
vectors of the spectral norms, and every draw of a step comes from (seed, step).
"""

import copy
import sys
from pathlib import Path
from statistics import median
from typing import Any

import lightning
import torch
from einops import rearrange
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.nn import functional as F

from projects.smyrf.gan.networks import Attend, Discriminator, Generator
from projects.smyrf.gan.pictures import load
from projects.smyrf.gan.recipe import Network, Recipe
from regard_lab.common.files import write_json
from regard_lab.training.trainer import CHECKPOINT, History, SeedEachStep, loader, seed_of

STANDING_BATCHES, STANDING_SIZE = 20, 100  # over which the average generator's batch statistics are taken
SHOWN = 64  # pictures in TensorBoard's grid


def train(recipe: Recipe, folder: Path) -> None:
    """Leaves `generator-<step>.pt`, snapshots of the averaged generator, and `training.json`; goes on from `folder/checkpoints/last.ckpt`."""
    training, network = recipe.training, recipe.network
    pictures = load(
        recipe.data,
        recipe.source,
        "train",
        size=network.image_size,
        colours=network.colours,
        classes=network.classes,
    )
    batches = loader(pictures, training.batch_size * training.discriminator_steps, seed=recipe.seed)
    if len(batches) < training.chunk_steps:
        raise ValueError(
            f"a chunk goes through the data once at most, {len(batches)} batches of {training.batch_size} ×"
            f" {training.discriminator_steps}, got gan.training.chunk_steps={training.chunk_steps}"
        )
    task, history = Adversaries(recipe), History()
    trainer = lightning.Trainer(
        max_epochs=training.chunks,
        limit_train_batches=training.chunk_steps,
        callbacks=[
            SeedEachStep(recipe.seed),
            history,
            Snapshots(recipe, folder),
            ModelCheckpoint(dirpath=folder / "checkpoints", filename="last", **CHECKPOINT),
        ],
        default_root_dir=folder,
        deterministic=True,
        precision=training.precision,  # type: ignore[arg-type]
        accelerator="auto",
        devices=1,
        log_every_n_steps=min(10, training.chunk_steps),
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        logger=TensorBoardLogger(folder, name="tensorboard", version=""),
    )
    last = folder / "checkpoints" / "last.ckpt"
    trainer.fit(task, batches, ckpt_path=str(last) if last.exists() else None, weights_only=False)
    seconds = median(chunk["train_time_s"] for chunk in history.epochs) / training.chunk_steps
    write_json(folder / "training.json", {"seconds_per_step": seconds})


class Adversaries(lightning.LightningModule):
    """Generator, discriminator, and the generator's average, with their steps."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.automatic_optimization = False
        torch.manual_seed(seed_of(recipe.seed, 0))
        attention = recipe.attention
        attend = Attend(attention.name, attention.rounds, attention.cluster_size)
        self.generator = Generator(recipe.network, attend)
        self.discriminator = Discriminator(recipe.network)
        self.to(memory_format=torch.channels_last)  # twice as fast on CPU
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.network, self.training_options = recipe.network, recipe.training

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        options = self.training_options
        return [
            torch.optim.Adam(part.parameters(), lr=rate, betas=(options.beta1, options.beta2), eps=options.epsilon)
            for part, rate in (
                (self.generator, options.generator_rate),
                (self.discriminator, options.discriminator_rate),
            )
        ]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """`discriminator_steps` steps of the discriminator, a part of the batch each, then one of the generator."""
        of_generator, of_discriminator = self.optimizers()
        size, parts = self.training_options.batch_size, self.training_options.discriminator_steps
        for pictures, labels in zip(*(tensor.chunk(parts) for tensor in batch), strict=True):
            with torch.no_grad():
                made, made_labels = self._made(size)
            scores = self.discriminator(torch.cat((pictures, made)), torch.cat((labels, made_labels)))
            real, fake = scores.split((len(pictures), size))
            loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
            self._step(of_discriminator, loss)
        self.discriminator.requires_grad_(False)
        loss_of_generator = -self.discriminator(*self._made(size)).mean()
        self._step(of_generator, loss_of_generator)
        self.discriminator.requires_grad_(True)
        self._follow()
        values = {"discriminator": loss, "generator": loss_of_generator, "gamma": self.generator.attention.gamma}
        self.log_dict({f"train/{name}": value.detach() for name, value in values.items()})

    def _made(self, size: int) -> tuple[Tensor, Tensor]:
        latents, labels = drawn(size, self.network, None, self.device)
        return self.generator(latents, labels), labels

    def _step(self, optimiser: Any, loss: Tensor) -> None:
        optimiser.zero_grad()
        self.manual_backward(loss)
        optimiser.step()

    @torch.no_grad()
    def _follow(self) -> None:
        """average ← w average + (1 - w) weights, w rising to its value as the steps become many; buffers are the generator's."""
        steps = self.global_step // (
            1 + self.training_options.discriminator_steps
        )  # Lightning counts every optimiser's
        weight = min(self.training_options.average, steps / (steps + 10))
        for mean, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(value, 1 - weight)
        for mean, value in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            mean.copy_(value)


class Snapshots(Callback):
    """Keeps the averaged generator `snapshots` times, at even distances, and shows its pictures in TensorBoard."""

    def __init__(self, recipe: Recipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        training = self.recipe.training
        chunks = trainer.current_epoch + 1
        if chunks % (training.chunks // training.snapshots):
            return
        generator = settled(pl_module.average, self.recipe.network, self.recipe.seed)
        torch.save(generator.state_dict(), self.folder / f"generator-{chunks * training.chunk_steps:06d}.pt")
        labels = torch.arange(SHOWN) % self.recipe.network.classes
        latents, _ = drawn(SHOWN, self.recipe.network, torch.Generator().manual_seed(0), None)
        with torch.no_grad():
            made = generator(latents.to(pl_module.device), labels.to(pl_module.device))
        sheet = rearrange((made + 1) / 2, "(r c) ch h w -> ch (r h) (c w)", c=8)
        trainer.logger.experiment.add_image("pictures", sheet, chunks * training.chunk_steps)


def drawn(
    size: int, network: Network, generator: torch.Generator | None, device: torch.device | None
) -> tuple[Tensor, Tensor]:
    """Latents (size, latent) and labels (size,), from torch's own generator or the one given."""
    latents = torch.randn(size, network.latent, generator=generator, device=device)
    return latents, torch.randint(network.classes, (size,), generator=generator, device=device)


@torch.no_grad()
def settled(average: nn.Module, network: Network, seed: int) -> nn.Module:
    """A copy of the averaged generator in evaluation mode, its batch statistics and spectral norms those of the averaged weights.

    The statistics that training leaves belong to the generator as it was; averages of weights have others.
    """
    copied = copy.deepcopy(average).train()
    device = next(copied.parameters()).device
    norms = [module for module in copied.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, 2))
        for _ in range(STANDING_BATCHES):
            copied(*drawn(STANDING_SIZE, network, None, device))
    return copied.eval()

"""Train a BigGAN: hinge loss, both networks by Adam, an average of the generator's weights; resumable to the last bit.

    L_D = E max(0, 1 - D(x, y)) + E max(0, 1 + D(G(z, y'), y'))        L_G = -E D(G(z, y'), y')        z ~ N(0, I), y' uniform

What Lightning calls an epoch is a chunk of generator steps here: it ends in a checkpoint with both networks, both
optimisers, the average and the vectors of the spectral norms, and every draw of a step comes from (seed, step).
"""

import copy
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import cast

import lightning
import torch
from einops import rearrange
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from projects.smyrf.config import GanTraining, Network, TrainingAttention
from projects.smyrf.data.pictures import as_floats, load
from projects.smyrf.models.biggan import Attend, Discriminator, Generator
from regard_lab.common.files import write_json
from regard_lab.training.ranks import on_ranks
from regard_lab.training.trainer import CHECKPOINT, History, SeedEachStep, loader, seed_of

STANDING_BATCHES, STANDING_SIZE = 20, 100  # over which the average generator's batch statistics are taken
SHOWN = 64  # pictures in TensorBoard's grid


@dataclass
class GeneratorRun:
    """Everything that decides a trained generator, its code and its data apart; what is done with it later asks for no other training."""

    data: str
    source: str
    network: Network
    training: GanTraining
    attention: TrainingAttention
    seed: int


def train(run: GeneratorRun, folder: Path) -> None:
    """Leaves `generator-<step>.pt`, snapshots of the averaged generator, and `training.json`; resumed from `folder/checkpoints/last.ckpt`.

    Raises:
        ValueError: A chunk needs more batches than the data have.
    """
    training, network = run.training, run.network
    pictures = load(
        run.data, run.source, "train", size=network.image_size, colours=network.colours, classes=network.classes
    )
    batches = loader(pictures, training.batch_size * training.discriminator_steps, seed=run.seed)
    if (most := len(batches) // training.devices) < training.chunk_steps:
        raise ValueError(
            f"a chunk goes through the data once at most, {most} batches of {training.batch_size} ×"
            f" {training.discriminator_steps} per device, got gan.training.chunk_steps={training.chunk_steps}"
        )
    if training.devices == 1 and training.strategy == "auto":
        fit(run, batches, folder)
    else:
        on_ranks(fit, training.devices, folder, run, batches, folder)


def fit(run: GeneratorRun, batches: DataLoader[tuple[Tensor, ...]], folder: Path) -> None:
    """`train` in this process, which is the only one or one rank of several."""
    training = run.training
    task, history = Adversaries(run), History()
    trainer = lightning.Trainer(
        max_epochs=training.chunks,
        limit_train_batches=training.chunk_steps,
        callbacks=[
            SeedEachStep(run.seed),
            history,
            Snapshots(run, folder),
            ModelCheckpoint(dirpath=folder / "checkpoints", filename="last", **CHECKPOINT),
        ],
        default_root_dir=folder,
        plugins=[LightningEnvironment()],
        deterministic=True,
        accelerator="auto",
        devices=training.devices,
        strategy=training.strategy,
        precision=training.precision,
        use_distributed_sampler=False,  # the sampler of `loader` shards by itself
        log_every_n_steps=min(10, training.chunk_steps),
        enable_model_summary=False,
        enable_progress_bar=sys.stderr.isatty(),
        logger=TensorBoardLogger(folder, name="tensorboard", version=""),
    )
    last = folder / "checkpoints" / "last.ckpt"
    trainer.fit(task, batches, ckpt_path=str(last) if last.exists() else None, weights_only=False)
    if trainer.is_global_zero:
        seconds = median(chunk["train_time_s"] for chunk in history.epochs) / training.chunk_steps
        write_json(folder / "training.json", {"seconds_per_step": seconds})


class Adversaries(lightning.LightningModule):
    """Generator, discriminator, and the generator's average, with their steps."""

    def __init__(self, run: GeneratorRun) -> None:
        super().__init__()
        self.automatic_optimization = False
        torch.manual_seed(seed_of(run.seed, 0))
        attention = run.attention
        attend = Attend(attention.name, attention.rounds, attention.cluster_size)
        self.generator = Generator(run.network, attend)
        self.discriminator = Discriminator(run.network)
        self.to(memory_format=torch.channels_last)  # twice as fast on CPU
        self.average = copy.deepcopy(self.generator).requires_grad_(False)
        self.seed, self.network, self.training_options = run.seed, run.network, run.training

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
        of_generator, of_discriminator = cast(list[LightningOptimizer], self.optimizers())
        size, parts = self.training_options.batch_size, self.training_options.discriminator_steps
        for pictures, labels in zip(*(tensor.chunk(parts) for tensor in batch), strict=True):
            with torch.no_grad():
                fakes, fake_labels = self._fakes(size)
            real_pictures = as_floats(pictures, self.network.image_size).to(fakes.dtype)  # Lightning casts floats alone
            scores = self.discriminator(torch.cat((real_pictures, fakes)), torch.cat((labels, fake_labels)))
            real, fake = scores.split((len(pictures), size))
            loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
            self._step(of_discriminator, loss)
        self.discriminator.requires_grad_(False)
        loss_of_generator = -self.discriminator(*self._fakes(size)).mean()
        self._step(of_generator, loss_of_generator)
        self.discriminator.requires_grad_(True)
        self._update_average()
        values = {"discriminator": loss, "generator": loss_of_generator, "gamma": self.generator.attention.gamma}
        self.log_dict({f"train/{name}": value.detach() for name, value in values.items()})

    def _fakes(self, size: int) -> tuple[Tensor, Tensor]:
        latents, labels = random_inputs(size, self.network, None, self.device)
        return self.generator(latents, labels), labels

    def _step(self, optimiser: LightningOptimizer, loss: Tensor) -> None:
        optimiser.zero_grad()
        self.manual_backward(loss)
        optimiser.step()

    @torch.no_grad()
    def _update_average(self) -> None:
        """average ← w average + (1 - w) weights, w rising to its value as the steps become many; buffers are the generator's."""
        steps_of_both = 1 + self.training_options.discriminator_steps  # Lightning counts every optimiser's
        steps = self.global_step // steps_of_both
        weight = min(self.training_options.average, steps / (steps + 10))
        for mean, value in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(value, 1 - weight)
        for copied, buffer in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            copied.copy_(buffer)


class Snapshots(Callback):
    """Keeps the averaged generator `snapshots` times, evenly spaced, and shows its pictures in TensorBoard."""

    def __init__(self, run: GeneratorRun, folder: Path) -> None:
        self.run, self.folder = run, folder

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        training, network = self.run.training, self.run.network
        chunks = trainer.current_epoch + 1
        if not trainer.is_global_zero or chunks % (training.chunks // training.snapshots):
            return
        assert isinstance(pl_module, Adversaries)
        generator = with_standing_statistics(pl_module.average, network, self.run.seed)
        torch.save(generator.state_dict(), self.folder / f"generator-{chunks * training.chunk_steps:06d}.pt")
        labels = torch.arange(SHOWN) % network.classes
        latents, _ = random_inputs(SHOWN, network, torch.Generator().manual_seed(0), None)
        with torch.no_grad():
            pictures = generator(latents.to(pl_module.device), labels.to(pl_module.device))
        sheet = rearrange((pictures + 1) / 2, "(r c) ch h w -> ch (r h) (c w)", c=8)
        assert isinstance(trainer.logger, TensorBoardLogger)
        trainer.logger.experiment.add_image("pictures", sheet, chunks * training.chunk_steps)


def random_inputs(
    size: int, network: Network, generator: torch.Generator | None, device: torch.device | None
) -> tuple[Tensor, Tensor]:
    """Latents (size, latent), standard normal, and uniform labels (size,), from `generator` or, if None, from torch's own."""
    latents = torch.randn(size, network.latent, generator=generator, device=device)
    return latents, torch.randint(network.classes, (size,), generator=generator, device=device)


@torch.no_grad()
def with_standing_statistics(average: nn.Module, network: Network, seed: int) -> nn.Module:
    """A copy of the averaged generator in evaluation mode, with batch statistics and spectral norms of the averaged weights.

    The statistics that training leaves belong to the generator as it was; averages of weights have others (BigGAN's "standing statistics").
    """
    copied = copy.deepcopy(average).float().train()  # float32 whatever the precision of training
    device = next(copied.parameters()).device
    norms = [module for module in copied.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed_of(seed, 2))
        for _ in range(STANDING_BATCHES):
            copied(*random_inputs(STANDING_SIZE, network, None, device))
    return copied.eval()

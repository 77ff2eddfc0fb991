"""Training with Lightning, resumable to the last bit: the same metrics whether or not a run was stopped in between.

Resuming is exact because batches are drawn from (seed, epoch), every random draw inside a step comes from (seed, global
step), and checkpoints are taken at the ends of epochs, when nothing else is in progress. No state is kept outside the
checkpoint.
"""

import logging
import multiprocessing
import shutil
import sys
import time
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import lightning
import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.types import STEP_OUTPUT
from torch import Tensor
from torch.utils.data import DataLoader, Sampler, TensorDataset

from regard_lab.training import kept
from regard_lab.training.device import best_device
from regard_lab.training.ranks import on_ranks
from regard_lab.training.recipe import Training, optimiser, scheduled, trainer_options

# Warnings of Lightning that are intentional here or not actionable: data that are tensors in memory need no workers, a
# resumed run has a folder that is not empty, and Lightning's own use of torch's trees is deprecated.
for message in (
    "does not have many workers",
    "Checkpoint directory .* exists and is not empty",
    "isinstance.treespec, LeafSpec",
):
    warnings.filterwarnings("ignore", message=f".*{message}.*")
# Silences its notices about accelerators and loggers.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)

CHECKPOINT: dict[str, Any] = {"save_on_train_epoch_end": True, "enable_version_counter": False, "save_top_k": 1}
Kind = Literal["train", "validation", "test"]
Score = Callable[[torch.nn.Module, Any], dict[str, Tensor]]


def seed_of(*parts: int) -> int:
    """One well-mixed 63-bit seed from several integers (such as seed and epoch), by the mixer of SplitMix64."""
    state = 0
    for part in parts:
        state = (state + (part + 1) * 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state >> 1


class Batches(Sampler[list[int]]):
    """Batches of indices 0 … n - 1, reshuffled each epoch from (seed, epoch), or in order when `seed` is None.

    In a distributed run each rank takes every world-size-th batch, and the last, incomplete round of batches is left
    out of training. Batches in order leave nothing out: every rank gets the same number of them, and their sizes differ
    by at most one.
    """

    def __init__(self, n: int, batch_size: int, seed: int | None = None) -> None:
        if n < 1 or batch_size < 1:
            raise ValueError(
                f"need at least one example and a batch size of at least 1, got n = {n} and batch_size = {batch_size}"
            )
        self.n, self.batch_size, self.seed, self.epoch = n, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, including the first one after a resume."""
        self.epoch = epoch

    def batches(self) -> list[list[int]]:
        """All batches of the epoch, those of every rank."""
        if self.seed is None:
            order = torch.arange(self.n)
            if (world := _rank_and_world()[1]) > 1:
                rounds = min(-(-self.n // (self.batch_size * world)), self.n // world)
                return [part.tolist() for part in order.tensor_split(rounds * world)]
        else:
            order = torch.randperm(self.n, generator=torch.Generator().manual_seed(seed_of(self.seed, self.epoch)))
        return [order[start : start + self.batch_size].tolist() for start in range(0, self.n, self.batch_size)]

    def __iter__(self) -> Iterator[list[int]]:
        batches = self.batches()
        rank, world = _rank_and_world()
        if world > 1 and self.seed is not None:
            batches = batches[: len(batches) // world * world]
        yield from batches[rank::world]

    def __len__(self) -> int:
        rank, world = _rank_and_world()
        if self.seed is None:
            return len(self.batches()[rank::world])
        return -(-self.n // self.batch_size) // world


def loader(tensors: tuple[Tensor, ...], batch_size: int, seed: int | None = None) -> DataLoader[tuple[Tensor, ...]]:
    """Whole batches from tensors in memory; shuffled if a seed is given."""
    dataset = TensorDataset(*tensors)
    return DataLoader(dataset, sampler=Batches(len(dataset), batch_size, seed), batch_size=None)


class Task(lightning.LightningModule):
    """A model, how its batches are scored, and the recipe of its training.

    Args:
        model: What is trained.
        score: `score(model, batch)` gives the loss to minimise and further metrics of the batch, each a mean over its
            examples.
        training: The recipe.
        groups: The parameters that are trained, or groups of them in torch's form. Default: all that require a
            gradient.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        score: Score,
        training: Training,
        groups: Callable[[torch.nn.Module], Any] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.score, self.training_recipe, self.groups = model, score, training, groups or trainable

    def training_step(self, batch: Any, batch_idx: int) -> STEP_OUTPUT:
        return self._log("train", batch)

    def validation_step(self, batch: Any, batch_idx: int) -> STEP_OUTPUT:
        return self._log("validation", batch)

    def test_step(self, batch: Any, batch_idx: int) -> STEP_OUTPUT:
        return self._log("test", batch)

    def configure_optimizers(self) -> Any:
        configured = optimiser(self.groups(self.model), self.training_recipe)
        return scheduled(configured, int(self.trainer.estimated_stepping_batches), self.training_recipe)

    def _log(self, kind: Kind, batch: Any) -> Tensor:
        scores = self.score(self.model, batch)
        values = {f"{kind}_{name}": value for name, value in scores.items()}
        # Lightning divides the examples of all ranks by the number of ranks with integer division; multiplying by it
        # first loses nothing.
        weight = len(batch[0]) * self.trainer.world_size
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=weight, sync_dist=True)
        return scores["loss"]


def trainable(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """The parameters that require a gradient."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


class SeedEachStep(Callback):
    """Dropout and every other draw of step s come from (seed, s), whatever was drawn before it; on further devices from (seed, s, rank)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        rank = (trainer.global_rank,) if trainer.global_rank else ()
        torch.manual_seed(seed_of(self.seed, trainer.global_step, 1, *rank))


class History(Callback):
    """The metrics of each epoch and the seconds that it trained (without validation); saved in the checkpoint."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self._started = self._ended = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._started = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        self._ended = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.epochs.append(values | {"train_time_s": self._ended - self._started})

    def state_dict(self) -> dict[str, Any]:
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epochs = list(state_dict["epochs"])


class Watch(Callback):
    """Writes to TensorBoard, at every logged step, the learning rate and the norm of the gradient before it is clipped."""

    def on_before_optimizer_step(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        if trainer.logger is None or trainer.global_step % trainer.log_every_n_steps:  # type: ignore[attr-defined]
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        values = {f"learning_rate/{n}": group["lr"] for n, group in enumerate(optimizer.param_groups)}
        norm = float(torch.nn.utils.get_total_norm(gradients))
        trainer.logger.log_metrics({**values, "gradient_norm": norm}, trainer.global_step)


def fit(
    task: Task,
    train: DataLoader[Any],
    validation: DataLoader[Any],
    *,
    seed: int,
    folder: Path,
    best: str = "validation_accuracy",
    mode: Literal["min", "max"] = "max",
    options: Mapping[str, Any] | None = None,
) -> History:
    """Train by the task's recipe, resumed from `folder/checkpoints/last.ckpt` if that exists.

    On several devices the training runs in one process per device, and all else, evaluation too, in this one (`regard_lab.training.ranks`).

    Leaves `best.ckpt` (by the metric `best`, earliest of equals) and `last.ckpt`, and TensorBoard logs below `folder`;
    the task ends with the last epoch's weights.

    Args:
        task: The model, its score and its recipe.
        train: Batches to train on, in an order of their own per epoch.
        validation: Batches to validate on after each epoch.
        seed: Seed of every random draw inside a step.
        folder: Where checkpoints and logs go.
        best: The metric by which `best.ckpt` is chosen, such as `validation_loss`.
        mode: Whether the best value of that metric is its least (`min`) or its greatest (`max`).
        options: Further options of Lightning's `Trainer`, such as `fast_dev_run` or `limit_val_batches`.

    Returns:
        The metrics of each epoch and the seconds that it trained.
    """
    if (replay := kept.replaying()) is not None:  # on kept weights
        task.load_state_dict(kept.read_fit(replay, folder, "last"), strict=task.strict_loading)
        history = History()
        history.load_state_dict({"epochs": kept.read_history(replay, folder)})
        kept.offer(task.model, folder.name)
        return history
    _put_damaged_aside(folder / "checkpoints")
    recipe = task.training_recipe
    alone = multiprocessing.parent_process() is None  # workers of a pool leave the terminal to the table's own bar
    settings = {"enable_progress_bar": alone and sys.stderr.isatty(), **(options or {})}
    if recipe.devices == 1 and recipe.strategy == "auto":
        return _fit(task, train, validation, seed, folder, best, mode, settings)
    _check_ranks(recipe, train, validation)
    on_ranks(_fit, recipe.devices, folder, task, train, validation, seed, folder, best, mode, settings)
    load_weights(task, folder, "last")
    history = History()
    history.load_state_dict(_checkpoint(folder, "last")["callbacks"][history.state_key])
    return history


def _put_damaged_aside(checkpoints: Path) -> None:
    """Where a checkpoint is torn or altered (a full disk, flipped bits), the training begins anew; with it, it would fail at every run."""
    if not (checkpoints / "last.ckpt").exists():
        return
    for which in ("best", "last"):
        try:
            with zipfile.ZipFile(checkpoints / f"{which}.ckpt") as archive:
                fault = archive.testzip()  # every part has a checksum
        except (OSError, zipfile.BadZipFile) as error:
            fault = str(error)
        if fault is not None:
            aside = checkpoints.with_name("checkpoints-damaged")
            shutil.rmtree(aside, ignore_errors=True)
            checkpoints.rename(aside)
            print(
                f"{which}.ckpt is damaged ({fault}): put aside as {aside.name}; the training begins anew",
                file=sys.stderr,
            )
            return


def _check_ranks(recipe: Training, *loaders: DataLoader[Any]) -> None:
    """Refuse a distributed training in which a device would have no batch, or in which Lightning cannot clip."""
    for batches in loaders:
        sampler = batches.sampler
        if isinstance(sampler, Batches):
            n = sampler.n if sampler.seed is None else -(-sampler.n // sampler.batch_size)
            if n < recipe.devices:
                what = (
                    "examples to validate on"
                    if sampler.seed is None
                    else f"batches of {sampler.batch_size} to train on"
                )
                raise ValueError(f"{recipe.devices} devices need at least one each, but there are {n} {what}")
    if recipe.strategy == "fsdp" and recipe.clip_norm is not None:
        raise ValueError(f"strategy=fsdp cannot clip gradients by their norm (clip_norm={recipe.clip_norm}); use ddp")


def _fit(
    task: Task,
    train: DataLoader[Any],
    validation: DataLoader[Any],
    seed: int,
    folder: Path,
    best: str,
    mode: Literal["min", "max"],
    options: Mapping[str, Any],
) -> History:
    """`fit` in this process, which is the only one or one rank of several."""
    checkpoints = folder / "checkpoints"
    history = History()
    # Two, because `save_last` of one that follows a metric writes `last.ckpt` only in epochs that are the best so far.
    # The best comes first, so that `last.ckpt` holds its state.
    best_so_far = ModelCheckpoint(dirpath=checkpoints, filename="best", monitor=best, mode=mode, **CHECKPOINT)
    every = ModelCheckpoint(dirpath=checkpoints, filename="last", **CHECKPOINT)
    settings: dict[str, Any] = {
        "accelerator": "auto",
        "deterministic": True,
        "log_every_n_steps": 10,
        "logger": TensorBoardLogger(folder, name="tensorboard", version=""),
        **trainer_options(task.training_recipe),
        **options,
    }
    torch.set_float32_matmul_precision(task.training_recipe.float32_matmul_precision)
    trainer = lightning.Trainer(
        callbacks=[SeedEachStep(seed), Watch(), history, best_so_far, every],
        default_root_dir=folder,
        plugins=[LightningEnvironment()],  # ranks are started here, under Slurm too (`regard_lab.training.ranks`)
        num_sanity_val_steps=0,
        enable_model_summary=False,
        use_distributed_sampler=False,  # `Batches` shards by itself, so that the order does not depend on the strategy
        **settings,
    )
    last = checkpoints / "last.ckpt"
    trainer.fit(task, train, validation, ckpt_path=str(last) if last.exists() else None, weights_only=False)
    return history


def load_weights(task: Task, folder: Path, which: Literal["best", "last"]) -> None:
    """Put the weights of one of `fit`'s two checkpoints into the task."""
    replay = kept.replaying()
    state = kept.read_fit(replay, folder, which) if replay else _checkpoint(folder, which)["state_dict"]
    task.load_state_dict(state, strict=task.strict_loading)


def _checkpoint(folder: Path, which: Literal["best", "last"]) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(
        folder / "checkpoints" / f"{which}.ckpt", map_location="cpu", weights_only=False
    )
    return checkpoint


@torch.inference_mode()
def evaluate(task: Task, batches: DataLoader[Any]) -> dict[str, float]:
    """The scores of a whole split in evaluation mode: means over its examples, summed in float64. The task is left on the device where it ran."""
    torch.set_float32_matmul_precision(task.training_recipe.float32_matmul_precision)
    device = best_device()  # Lightning has returned the model to the CPU
    task.to(device).eval()
    totals: dict[str, float] = {}
    examples = 0
    for batch in batches:
        batch = tuple(tensor.to(device) for tensor in batch)
        size = len(batch[0])
        examples += size
        for name, value in task.score(task.model, batch).items():
            totals[name] = totals.get(name, 0.0) + float(value) * size
    return {name: total / examples for name, total in totals.items()}


def _rank_and_world() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1

"""Super-resolution by a diffusion model, for noncausal self attention at several resolutions.

A picture is drawn once for each small one of the test split, by the same noise for every model. PSNR and SSIM are of pixels from 0 to 1.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics.functional.image import structural_similarity_index_measure

from projects.cab.config import Config, Sr
from projects.cab.data.pictures import picture_pairs
from projects.cab.models.super_resolution import SuperResolution, noise_loss
from projects.cab.tasks.cached_training import (
    Measured,
    TrainingRun,
    as_items,
    cached_result,
    curves_of,
    run_result,
    save,
    seconds_of,
    train_model,
)
from regard_lab.common.images import encode, grid
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.trainer import Task

INDEX_METRICS = ("psnr", "ssim")
DRAW_SEED = 16  # of the noise of validation and test, the same for every model
SHOWN = 4  # pictures of the test split on the page


def train(config: Config, folder: Path) -> RunResult:
    """PSNR and SSIM of test pictures, the parameters of the layers under test, and the seconds of training."""
    return run_result(result_of(config))


def result_of(config: Config, attention: str | None = None) -> Measured:
    """What the task measures, with another mechanism if one is named."""
    assert config.sr is not None
    return cached_result(config, fit_super_resolution, config.sr, [config.sr.set], attention=attention)


def fit_super_resolution(run: TrainingRun[Sr], folder: Path) -> None:
    """Train the model and leave what it measures."""
    task = run.task
    parts: dict[str, tuple[Tensor, ...]] = dict(picture_pairs(task, run.source))
    generator = torch.Generator().manual_seed(DRAW_SEED)
    seen, wanted = parts["validation"]
    parts["validation"] = (
        seen,
        wanted,
        torch.rand(len(seen), generator=generator),
        torch.randn(wanted.shape, generator=generator),
    )
    torch.manual_seed(run.seed)
    model = SuperResolution(task, run.attention, run.pattern)
    trained, history = train_model(model, score, parts, task.training, run.seed, folder)
    seen, wanted = parts["test"]
    made = pictures(trained, seen, 2 * task.training.batch_size)
    quality = quality_of(made, wanted)
    metrics = {name: float(values.mean()) for name, values in quality.items()}
    metrics |= {"attention_parameters": float(model.layers.parameter_count()), "train_time_s": seconds_of(history)}
    items = {name: as_items(values) for name, values in quality.items()}
    exhibits = {"pictures": sheet(seen, wanted, made)}
    save(folder, Measured(metrics, curves_of(history), items, exhibits))


def score(model: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """The loss of the noise; what training draws is drawn from the seed of the step, what validation has was drawn before."""
    assert isinstance(model, SuperResolution)
    seen, wanted, *drawn = batch
    draw, noise = drawn or (torch.rand(len(seen), device=seen.device), torch.randn_like(wanted))
    return {"loss": noise_loss(model, seen, wanted, draw, noise)}


def pictures(trained: Task, seen: Tensor, batch_size: int) -> Tensor:
    """The model's picture for each small one, `(n, 3, high, high)`."""
    model = trained.model.eval()
    assert isinstance(model, SuperResolution)
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(DRAW_SEED)
    return torch.cat([model.sample(part.to(device), generator).cpu() for part in torch.split(seen, batch_size)])


def quality_of(made: Tensor, wanted: Tensor) -> dict[str, Tensor]:
    """PSNR (dB) and SSIM (Wang et al. 2004) of each picture, `(n,)`; pictures `(n, 3, s, s)` are from -1 to 1."""
    made, wanted = ((part.double() + 1) / 2 for part in (made, wanted))
    errors = (made - wanted).square().mean((1, 2, 3)).clamp(min=1e-10)
    ssim = structural_similarity_index_measure(made, wanted, data_range=1.0, reduction=None)
    assert isinstance(ssim, Tensor)
    return {"psnr": -10 * errors.log10(), "ssim": ssim.reshape(-1)}


def sheet(seen: Tensor, wanted: Tensor, made: Tensor) -> str:
    """The first pictures of the test split, a row each: what a model sees, what it has made, what is right; PNG in base64."""
    rows = torch.stack([part[:SHOWN] for part in (seen, made, wanted)], 1).flatten(0, 1)
    pixels = ((rows + 1) * 127.5).round().clamp(0, 255).byte().movedim(1, -1).numpy()
    return encode(grid(np.ascontiguousarray(pixels), columns=3))

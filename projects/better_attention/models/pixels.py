"""Images as the encoder takes them: standardised by the training split, resized, in training flipped, rotated and zoomed, and cut into patches.

The steps and their sizes are the Keras example's: normalise, resize, flip, rotate by up to 0.02 of a turn, zoom by up
to 0.2 in each direction. Images stay bytes until they are in a batch, so that a large set is never in memory as floats.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TURN, ZOOM = 0.02, 0.2  # [Keras example]
CHUNK = 4096  # images counted at once


class Pixels(nn.Module):
    """Bytes (n, height, width[, channels]) -> float (n, size, size, channels). `adapt` to the training split before use."""

    mean: Tensor
    sd: Tensor

    def __init__(self, channels: int, size: int, augment: bool) -> None:
        super().__init__()
        self.size, self.augment = size, augment
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("sd", torch.ones(channels))

    def adapt(self, images: Tensor) -> None:
        """Take the mean and standard deviation of each channel over all pixels of `images`.

        Raises:
            ValueError: They have another number of channels than the model was built for.
        """
        mean, sd = moments(images)
        if len(mean) != len(self.mean):
            raise ValueError(f"the images have {len(mean)} channels, the model was built for {len(self.mean)}")
        self.mean.copy_(mean)
        self.sd.copy_(sd)

    def forward(self, images: Tensor) -> Tensor:
        x = images if images.ndim == 4 else images[..., None]
        x = ((x.float() - self.mean) / self.sd).permute(0, 3, 1, 2)  # n channels height width
        if x.shape[2:] != (self.size, self.size):
            x = F.interpolate(x, size=(self.size, self.size), mode="bilinear", antialias=True)
        if self.training and self.augment:
            x = augmented(x)
        return x.permute(0, 2, 3, 1)


def moments(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (channels,) of bytes (n, height, width[, channels]), exact, from a histogram of values."""
    channels = images.shape[3] if images.ndim == 4 else 1
    counts = torch.zeros(channels, 256, dtype=torch.int64)
    for start in range(0, len(images), CHUNK):
        values = images[start : start + CHUNK].reshape(-1, channels)
        for channel in range(channels):
            counts[channel] += torch.bincount(values[:, channel].int(), minlength=256)
    weights = counts.double() / counts.sum(1, keepdim=True)
    levels = torch.arange(256, dtype=torch.float64)
    mean = weights @ levels
    variance = (weights * (levels - mean[:, None]) ** 2).sum(1)
    return mean.float(), variance.sqrt().clamp(min=1e-3).float()


def augmented(x: Tensor) -> Tensor:
    """Each image of x (n, channels, height, width), flipped or not, rotated and zoomed by random amounts; beyond its edges it is reflected."""
    n = len(x)

    def uniform(reach: float) -> Tensor:
        return torch.empty(n, device=x.device).uniform_(-reach, reach)

    angle = 2 * math.pi * uniform(TURN)
    horizontal, vertical = 1 + uniform(ZOOM), 1 + uniform(ZOOM)
    horizontal = torch.where(uniform(1.0) < 0, -horizontal, horizontal)
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    rows = ((horizontal * cos, -vertical * sin, zero), (horizontal * sin, vertical * cos, zero))
    theta = torch.stack([torch.stack(row, 1) for row in rows], 1)  # n 2 3
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def patches(images: Tensor, size: int) -> Tensor:
    """Images (n, height, width[, channels]) -> flattened square patches (n, tokens, size · size · channels), row by row.

    Raises:
        ValueError: Patches of this size do not tile the images.
    """
    if images.shape[1] % size or images.shape[2] % size:
        raise ValueError(f"patches of {size} pixels do not tile images of {tuple(images.shape[1:3])}")
    tiles = images.unfold(1, size, size).unfold(2, size, size)  # n rows columns [channels] size size
    if images.ndim == 4:
        tiles = tiles.permute(0, 1, 2, 4, 5, 3)
    return tiles.flatten(3).flatten(1, 2)

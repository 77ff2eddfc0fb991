"""Pictures of a data set, as generators and vision transformers take them."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from regard_lab import data

# The mean and standard deviation of ImageNet, which DINOv2 and most vision transformers were trained with.
MEAN, SD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load(name: str, source: str, split: str, *, size: int, colours: int, classes: int) -> tuple[Tensor, Tensor]:
    """A split's pictures as they are stored, bytes (n, s, s) or (n, s, s, 3), and its labels (n,); with one class, all labels are 0.

    They become numbers batch by batch (`as_floats`): a set of photographs takes a twelfth of the memory, or none where it is mapped from its file.

    Raises:
        ValueError: The pictures have other colours, a larger size than `size`, or more classes.
    """
    part = data.load(name, Path.cwd(), source)[split]
    pictures, labels = torch.from_numpy(part.images), torch.from_numpy(part.labels)
    if (of_pictures := scaled(pictures[:1], size).shape[1]) != colours:
        raise ValueError(f"the pictures of {name} have {of_pictures} colours, gan.network.colours is {colours}")
    if classes == 1:
        return pictures, torch.zeros_like(labels)
    if (most := int(labels.max())) >= classes:
        raise ValueError(f"{name} has a class {most}, gan.network.classes is {classes}")
    return pictures, labels


def as_floats(pictures: Tensor, size: int) -> Tensor:
    """A batch of stored pictures, uint8, as `scaled` ones; generated ones, which are floats, as they are."""
    return scaled(pictures, size) if pictures.dtype == torch.uint8 else pictures


def scaled(images: Tensor, size: int) -> Tensor:
    """uint8 (n, s, s) or (n, s, s, 3) -> float (n, 1 or 3, size, size) in [-1, 1]; smaller ones get a black border, larger ones are refused."""
    images = images[:, None] if images.ndim == 3 else images.movedim(3, 1)
    height, width = images.shape[2:]
    if height != width or height > size or (size - height) % 2:
        raise ValueError(f"pictures of {height} × {width} do not fit into the middle of {size} × {size}")
    border = (size - height) // 2
    return F.pad(images.float() / 127.5 - 1, (border,) * 4, value=-1.0)


def standardised(pictures: Tensor, side: int) -> Tensor:
    """uint8 pictures as vision transformers take them: resized, less ImageNet's mean and over its standard deviation.

    Args:
        pictures: (b, height, width) or (b, height, width, 3).
        side: Of the pictures returned, in pixels.

    Returns:
        (b, 3, side, side).
    """
    colours = pictures if pictures.ndim == 4 else pictures[..., None].expand(*pictures.shape, 3)
    x = colours.movedim(-1, 1).float() / 255
    if x.shape[-2:] != (side, side):
        x = F.interpolate(x, size=(side, side), mode="bicubic", antialias=True).clamp(0, 1)
    mean, sd = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, SD))
    return (x - mean) / sd


def as_bytes(pictures: Tensor) -> NDArray[np.uint8]:
    """Pictures (n, 1 or 3, s, s) in [-1, 1] as uint8 (n, s, s) or (n, s, s, 3)."""
    images = ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).movedim(1, 3)
    return (images[..., 0] if images.shape[3] == 1 else images).contiguous().numpy()

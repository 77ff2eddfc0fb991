"""Pictures of a user's own folder as squares of one size."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from regard_lab.common.errors import UserError
from regard_lab.data.images import Images

ENDINGS = (".jpg", ".jpeg", ".png")


def of_folder(folder: Path, size: int) -> NDArray[np.uint8]:
    """Every picture in a folder, by name: its largest middle square resized, in colour, (n, size, size, 3)."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    if not paths:
        raise UserError(f"{folder} holds no picture ({', '.join(ENDINGS)})")
    return of_paths(paths, size)


def of_paths(paths: Sequence[Path], size: int) -> NDArray[np.uint8]:
    """Pictures as squares (n, size, size, 3), read one at a time: no more than one is in memory beside the result."""
    pictures = np.empty((len(paths), size, size, 3), np.uint8)
    for index, path in enumerate(paths):
        pictures[index] = square(path, size)
    return pictures


def in_classes(folder: Path, size: int) -> Images:
    """One folder per class; classes are numbered in the order of their names."""
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    if not classes:
        raise UserError(f"{folder} holds no folders, one per class")
    parts = [of_folder(path, size) for path in classes]
    labels = np.repeat(np.arange(len(parts), dtype=np.int64), [len(part) for part in parts])
    return Images(np.concatenate(parts), labels)


def square(path: Path, size: int) -> NDArray[np.uint8]:
    """One picture; a file that is not a picture is a `UserError` with its name."""
    try:
        with Image.open(path) as picture:
            fitted = ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    except OSError as error:
        raise UserError(f"{path} is not a picture: {error}") from error
    return np.asarray(fitted)

"""Pictures as exhibits of a cell: PNG in base64, so that they travel inside a result's JSON without loss."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def encode(picture: NDArray[np.uint8]) -> str:
    """A picture (height, width) or (height, width, 3) as PNG in base64."""
    if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,)):
        raise ValueError(
            f"a picture is uint8 of shape (height, width) or (height, width, 3), got {picture.dtype} {picture.shape}"
        )
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, format="png", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def decode(text: str) -> NDArray[np.uint8]:
    """The picture that `encode` wrote."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def grid(pictures: NDArray[np.uint8], columns: int, gap: int = 1) -> NDArray[np.uint8]:
    """Pictures (n, height, width[, 3]) in rows of `columns`, with white lines of `gap` pixels between them."""
    n, height, width, *channels = pictures.shape
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, *channels), 255, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = (index // columns) * (height + gap), (index % columns) * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet

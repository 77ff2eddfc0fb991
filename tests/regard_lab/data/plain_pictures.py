"""Pictures of one colour each."""

import numpy as np
from PIL import Image


def plain(values: list[int], size: int = 32) -> list[Image.Image]:
    return [Image.fromarray(np.full((size, size, 3), value, np.uint8)) for value in values]

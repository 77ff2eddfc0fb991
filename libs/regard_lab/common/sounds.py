"""Sounds as exhibits of a cell: WAV in base64, so that they travel inside a result's JSON and a page can play them."""

import base64
import io
import wave

import numpy as np
from numpy.typing import NDArray

BEGINNING = "UklGR"  # of "RIFF", the four bytes that begin a WAV file, in base64


def encode(samples: NDArray[np.floating], rate: int) -> str:
    """A sound of one channel as a WAV file of 16 bits, in base64.

    Args:
        samples: `(n,)`; values beyond -1 or 1 are clipped.
        rate: Samples per second.

    Raises:
        ValueError: There is no sample, or there are several channels.
    """
    if samples.ndim != 1 or not samples.size:
        raise ValueError(f"a sound has samples (n,), n at least 1, got {samples.shape}")
    whole = np.round(np.clip(samples, -1, 1) * (2**15 - 1)).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(whole.tobytes())
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def content(text: str) -> bytes:
    """The WAV file that `encode` wrote."""
    return base64.b64decode(text)


def is_sound(value: object) -> bool:
    """Is an exhibit a sound?"""
    return isinstance(value, str) and value.startswith(BEGINNING)


def seconds(text: str) -> float:
    """How long an encoded sound is."""
    with wave.open(io.BytesIO(content(text))) as file:
        return float(file.getnframes() / file.getframerate())

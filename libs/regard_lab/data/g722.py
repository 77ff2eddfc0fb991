"""Wideband telephone speech: G.722 (ITU-T 1988), 64 kbit/s, decoded by FFmpeg's decoder in the package `av`."""

import numpy as np
from numpy.typing import NDArray

from regard_lab.common.errors import DataMissing, UserError

RATE = 16_000
SAMPLES_PER_BYTE = 2


def decode_g722(content: bytes, name: str) -> NDArray[np.int16]:
    """The samples of a G.722 stream of 64 kbit/s, which has no header.

    Args:
        content: The stream's bytes.
        name: What to call it in a message.

    Returns:
        `(2 · bytes,)` int16 at 16,000 Hz.

    Raises:
        DataMissing: The package `av` is not installed.
        UserError: The stream is empty, or gives the wrong number of samples; the message has the numbers.
    """
    try:
        import av
    except ImportError:
        raise DataMissing("G.722 is decoded by the package `av`: run `pip install 'regard[speech]'`") from None
    if not content:
        raise UserError(f"{name} is empty, expected a stream of G.722")
    decoder = av.AudioCodecContext.create("g722", "r")
    decoder.sample_rate = RATE
    decoder.layout = "mono"
    frames = [*decoder.decode(av.Packet(content)), *decoder.decode(None)]
    samples = np.concatenate([np.empty(0, np.int16), *(frame.to_ndarray().reshape(-1) for frame in frames)])
    if len(samples) != SAMPLES_PER_BYTE * len(content) or samples.dtype != np.int16:
        raise UserError(
            f"{name} has {len(content):,} bytes of G.722 and gives {len(samples):,} samples of {samples.dtype}, "
            f"expected {SAMPLES_PER_BYTE * len(content):,} of int16"
        )
    return samples

"""G.722: code words of nearly nothing and of noise, and what is no stream."""

import numpy as np
import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.g722 import decode_g722


def test_g722_of_silence_and_of_nothing():
    pytest.importorskip("av")
    quiet = decode_g722(bytes([0xFF]) * 400, "quiet")  # the code words of a difference of nearly nought
    assert quiet.shape == (800,)
    assert quiet.dtype == np.int16
    assert int(np.abs(quiet).max()) < 10
    loud = decode_g722(bytes(np.random.default_rng(0).integers(0, 256, 400, dtype=np.uint8)), "loud")
    assert int(np.abs(loud).max()) > 1_000
    with pytest.raises(UserError, match=r"nothing\.g722 is empty"):
        decode_g722(b"", "nothing.g722")

"""How far synthetic speech is from recorded speech: mel-cepstral and mel-spectral distortion (MCD, MSD), by dynamic time warping.

As fairseq's `eval_sp` computes them, which CAB reports: `batch_mel_cepstral_distortion` in its
fairseq/tasks/text_to_speech.py and `batch_mel_spectral_distortion` in its examples/speech_synthesis/utils.py, after
arXiv 2011.03568.

    mels        80 triangles from 20 Hz to half the rate, of the power spectrum: Hann windows of 50 ms, every 12.5 ms
    MSD         frames are log(mels + 1e-6)
    MCD         frames are the first 13 coefficients, the zeroth included, of their orthonormal cosine transform
    distance    of two frames of d values: √(mean of squared differences)
    distortion  Σ of distances along the warping path of least Σ, whose steps are one frame in one sound or in both
    reported    Σ of distortions over utterances / Σ of synthetic frames over utterances (`dist_per_syn_frm`)

The reference is the recording's own log-mel spectrum through the same vocoder (`--resynthesised target`), so that a
model is not charged with what Griffin-Lim does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from projects.cab.data.sound import cosines, mel_filters, stft

MELS, LOWEST, OFFSET, CEPSTRA = 80, 20, 1e-6, 13
WINDOW_S, HOP_S = 0.05, 0.0125


@dataclass(frozen=True)
class Distortion:
    """Of one utterance: the distances along the path of least sum, in cepstra and in log-mels, and frames of both sounds."""

    cepstral: float
    spectral: float
    synthetic_frames: int
    reference_frames: int


def distortion(synthetic: Tensor, reference: Tensor, rate: int) -> Distortion:
    """What lies between two sounds `(n,)` and `(m,)` of one utterance, in samples from -1 to 1."""
    spectra = [spectrum(sound, rate) for sound in (synthetic, reference)]
    cepstra = [frames @ cosines(CEPSTRA, MELS) for frames in spectra]
    return Distortion(warped(distances(*cepstra)), warped(distances(*spectra)), len(spectra[0]), len(spectra[1]))


def reported(found: Sequence[Distortion]) -> dict[str, float]:
    """MCD and MSD per synthetic frame, and `length`, synthetic frames per frame of the reference, over all utterances."""
    frames = sum(each.synthetic_frames for each in found)
    return {
        "mcd": sum(each.cepstral for each in found) / frames,
        "msd": sum(each.spectral for each in found) / frames,
        "length": frames / sum(each.reference_frames for each in found),
    }


def spectrum(sound: Tensor, rate: int) -> Tensor:
    """Log-mels `(frames, MELS)` of samples `(n,)`."""
    window, hop = int(WINDOW_S * rate), int(HOP_S * rate)
    around = "reflect" if len(sound) > window // 2 else "constant"
    power = stft(sound, window, hop, window, around).abs().square()
    return (mel_filters(rate, window, MELS, LOWEST, rate // 2) @ power + OFFSET).log().T


def distances(first: Tensor, second: Tensor) -> NDArray[np.float64]:
    """√(mean of squared differences) of each frame `(m, d)` and each `(n, d)`, `(m, n)`."""
    a, b = (frames.double().numpy() for frames in (first, second))
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squares, 0) / a.shape[1]))


def warped(costs: NDArray[np.float64]) -> float:
    """The least sum of costs `(m, n)` along a path from the first corner to the last, of steps (1, 0), (0, 1) and (1, 1).

    Antidiagonal by antidiagonal: what each needs are the two before it.
    """
    m, n = costs.shape
    before, last = np.full(m + 1, np.inf), np.full(m + 1, np.inf)  # by row, shifted by one
    for diagonal in range(m + n - 1):
        rows = np.arange(max(0, diagonal - n + 1), min(diagonal, m - 1) + 1)
        best = np.minimum(np.minimum(last[rows], last[rows + 1]), before[rows]) if diagonal else 0.0
        current = np.full(m + 1, np.inf)
        current[rows + 1] = costs[rows, diagonal - rows] + best
        before, last = last, current
    return float(last[m])

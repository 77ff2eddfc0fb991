"""Sound and its spectra, on plain tensors: log-mel spectra, cepstra, pitch, and the way back by Griffin-Lim.

    |STFT| → mel = filters · |STFT|^p → log(mel + floor) → cosine transform

Filters are triangles on the mel scale 2595 · log10(1 + Hz / 700), each with a peak of 1.
"""

import functools
import math

import torch
from torch import Tensor
from torch.nn import functional as F

FLOOR = 1e-5  # added to mels before the logarithm
LEAST_PITCH, MOST_PITCH = 75, 400  # Hz of a speaking voice
VOICED = 0.45  # the least height of a peak of the autocorrelation, over that at 0


def stft(samples: Tensor, window: int, hop: int, size: int, around: str = "constant") -> Tensor:
    """The complex spectrum `(size // 2 + 1, 1 + n // hop)` of samples `(n,)`, by Hann windows centred on every `hop`-th sample.

    `around` says what is beyond both ends: zeros ("constant"), or the mirrored sound ("reflect").
    """
    return torch.stft(
        samples,
        size,
        hop,
        window,
        torch.hann_window(window, device=samples.device),
        center=True,
        pad_mode=around,
        return_complex=True,
    )


def fft_size(window: int) -> int:
    """The next power of 2."""
    return int(2 ** math.ceil(math.log2(window)))


@functools.cache
def mel_filters(rate: int, size: int, mels: int, lowest: int, highest: int) -> Tensor:
    """Triangles `(mels, size // 2 + 1)` that are as wide as each other on the mel scale.

    Args:
        rate: Samples per second.
        size: Of the Fourier transform.
        mels: How many channels.
        lowest: Where the first triangle begins, Hz.
        highest: Where the last ends, Hz.
    """
    ends = torch.linspace(to_mel(lowest), to_mel(highest), mels + 2, dtype=torch.float64)
    places = 700 * (10 ** (ends / 2595) - 1)
    bins = torch.linspace(0, rate / 2, size // 2 + 1, dtype=torch.float64)
    rising = (bins - places[:-2, None]) / (places[1:-1] - places[:-2])[:, None]
    falling = (places[2:, None] - bins) / (places[2:] - places[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0).float()


def to_mel(hertz: float) -> float:
    """A frequency on the mel scale."""
    return 2595 * math.log10(1 + hertz / 700)


def log_mel(samples: Tensor, rate: int, window: int, hop: int, mels: int, lowest: int, highest: int) -> Tensor:
    """The natural logarithms of magnitudes `(frames, mels)` of samples `(n,)` from -1 to 1."""
    size = fft_size(window)
    filters = mel_filters(rate, size, mels, lowest, highest)
    return (filters @ stft(samples, window, hop, size).abs() + FLOOR).log().T


def cosines(count: int, of: int) -> Tensor:
    """The orthonormal cosine transform (DCT-II) as a matrix `(of, count)` of its first `count` coefficients."""
    places = torch.arange(of, dtype=torch.float64)[:, None] + 0.5
    matrix = torch.cos(math.pi / of * places * torch.arange(count)) * math.sqrt(2 / of)
    matrix[:, 0] /= math.sqrt(2)
    return matrix.float()


def pitch(samples: Tensor, rate: int, window: int, hop: int) -> Tensor:
    """The logarithm of the pitch in Hz of each frame, `(1 + n // hop,)`, by the peak of the autocorrelation (Boersma 1993).

    That of the window is divided out. Frames without voice have the line between their neighbours with voice, and the
    logarithm of 1 Hz where no frame has one.
    """
    frames = F.pad(samples, (window // 2, window // 2)).unfold(0, window, hop)
    shape = torch.hann_window(window)
    frames = (frames - frames.mean(1, keepdim=True)) * shape
    size = fft_size(2 * window)
    correlation, own = (torch.fft.irfft(torch.fft.rfft(x, size).abs() ** 2)[..., :window] for x in (frames, shape))
    correlation = correlation / correlation[:, :1].clamp(min=1e-9) / (own / own[0]).clamp(min=1e-3)
    lags = slice(rate // MOST_PITCH, min(rate // LEAST_PITCH, window - 1) + 1)
    height, place = correlation[:, lags].max(1)
    voiced = (height > VOICED) & (frames.square().mean(1) > 1e-6)
    if not bool(voiced.any()):
        return torch.zeros(len(frames))
    values = (rate / (place[voiced] + lags.start).double()).log()
    at = torch.arange(len(frames), dtype=torch.float64)
    return interpolated(at, at[voiced], values).float()


def interpolated(at: Tensor, places: Tensor, values: Tensor) -> Tensor:
    """Values `(m,)` at rising places `(m,)`, read at `(n,)` along straight lines; beyond the ends, the ends'."""
    right = torch.searchsorted(places, at).clamp(max=len(places) - 1)
    left = (right - 1).clamp(min=0)
    gap = (places[right] - places[left]).clamp(min=1e-9)
    share = ((at - places[left]) / gap).clamp(0, 1)
    return torch.lerp(values[left], values[right], share)


def griffin_lim(mel: Tensor, rate: int, window: int, hop: int, lowest: int, highest: int, iterations: int) -> Tensor:
    """Samples whose log-mel spectrum is near the given one (Griffin and Lim 1984).

    Magnitudes are the least-squares solution for the mel filters, cut off at 0. Phases begin as drawn from a fixed
    seed; each iteration goes to samples and back, and keeps the phases.

    Args:
        mel: `(frames, mels)`, as `log_mel` gives them.
        rate: Samples per second.
        window: Samples of a window.
        hop: Samples between frames.
        lowest: Hz, of the mel filters.
        highest: Hz, of the mel filters.
        iterations: How many.

    Returns:
        Samples `((frames - 1) · hop,)`, from -1 to 1 if the magnitudes are those of such samples.
    """
    size = fft_size(window)
    filters = mel_filters(rate, size, mel.shape[1], lowest, highest)
    magnitudes = (torch.linalg.pinv(filters.double()).float() @ (mel.T.exp() - FLOOR)).clamp(min=0)
    angles = 2 * math.pi * torch.rand(magnitudes.shape, generator=torch.Generator().manual_seed(0))
    shape, length = torch.hann_window(window), (len(mel) - 1) * hop
    samples = torch.istft(torch.polar(magnitudes, angles), size, hop, window, shape, length=length)
    for _ in range(iterations):
        angles = stft(samples, window, hop, size).angle()
        samples = torch.istft(torch.polar(magnitudes, angles), size, hop, window, shape, length=length)
    return samples

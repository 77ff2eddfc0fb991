"""Which frames of a recording belong to which symbol of its text: forced alignment by a hidden Markov model.

One state per symbol, passed through from left to right, each for a frame at least; one Gaussian with a diagonal
covariance per kind of symbol. Flat start: at first every symbol has an equal share of its prompt's frames. Then, for
some rounds (segmental k-means, Juang and Rabiner 1990),

    means and variances of the frames of each kind  →  the likeliest path of each prompt (Viterbi)  →  again

Deterministic. It is simpler than the Montreal Forced Aligner, which CAB's durations are of: no phonemes, no context, no
mixtures, and no probabilities of transitions.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]
LEAST_VARIANCE = 0.05  # of features whose variance over all frames is 1
PRIOR_FRAMES = 10.0  # frames of the variance of all, which a kind of few frames leans on


def aligned(
    features: Sequence[Floats], symbols: Sequence[Ints], kinds: int, iterations: int, learn_from: int | None = None
) -> list[Ints]:
    """How many frames each symbol of each prompt has.

    Args:
        features: `(frames, d)` per prompt.
        symbols: `(n,)` per prompt, numbers below `kinds`.
        kinds: How many kinds of symbols there are.
        iterations: Rounds of learning and aligning, at least 1.
        learn_from: The Gaussians are those of so many first prompts, and the others are aligned by them. Default: all.

    Returns:
        `(n,)` per prompt, whose sum is the number of its frames.

    Raises:
        ValueError: A prompt has fewer frames than symbols, or no symbol, with the numbers.
    """
    for place, (frames, text) in enumerate(zip(features, symbols, strict=True)):
        if not 1 <= len(text) <= len(frames):
            raise ValueError(
                f"prompt {place} has {len(frames)} frames for {len(text)} symbols; each needs one at least"
            )
    count = len(features) if learn_from is None else learn_from
    known = np.concatenate(list(features[:count]))
    mean, scale = known.mean(0), np.maximum(known.std(0), 1e-6)
    scaled = [(frames - mean) / scale for frames in features]
    durations = [flat(len(frames), len(text)) for frames, text in zip(scaled, symbols, strict=True)]
    for _ in range(iterations):
        means, variances = gaussians(scaled[:count], symbols[:count], durations[:count], kinds)
        durations = [
            likeliest(log_likelihoods(frames, means, variances)[:, text])
            for frames, text in zip(scaled, symbols, strict=True)
        ]
    return durations


def flat(frames: int, symbols: int) -> Ints:
    """Equal shares: whole numbers that differ by one at most."""
    ends = np.arange(1, symbols + 1) * frames // symbols
    return np.diff(ends, prepend=0)


def gaussians(
    features: Sequence[Floats], symbols: Sequence[Ints], durations: Sequence[Ints], kinds: int
) -> tuple[Floats, Floats]:
    """Means and variances `(kinds, d)` of the frames that each kind of symbol has; a kind without frames has those of all."""
    frames = np.concatenate(list(features)).astype(np.float64)
    of = np.concatenate([np.repeat(text, length) for text, length in zip(symbols, durations, strict=True)])
    counts = np.bincount(of, minlength=kinds).astype(np.float64)[:, None]

    def per_kind(values: Floats) -> Floats:
        return np.stack([np.bincount(of, column, minlength=kinds) for column in values.T], axis=1)

    sums, squares = per_kind(frames), per_kind(frames**2)
    mean = np.where(counts > 0, sums / np.maximum(counts, 1), frames.mean(0))
    spread = squares - counts * mean**2 + PRIOR_FRAMES * frames.var(0)
    return mean, np.maximum(spread / (counts + PRIOR_FRAMES), LEAST_VARIANCE)


def log_likelihoods(features: Floats, means: Floats, variances: Floats) -> Floats:
    """Of each frame under each kind, `(frames, kinds)`, without the constant that all share."""
    precise = 1 / variances
    quadratic = features**2 @ precise.T - 2 * features @ (means * precise).T + (means**2 * precise).sum(1)
    return np.asarray(-0.5 * (quadratic + np.log(variances).sum(1)))


def likeliest(likelihoods: Floats) -> Ints:
    """The likeliest durations.

    Args:
        likelihoods: `(frames, n)`, logarithms, of each frame under each of a prompt's symbols in order.

    Returns:
        `(n,)`, each 1 at least. Of equally likely paths the one that moves on earliest.
    """
    frames, n = likelihoods.shape
    score = np.full(n, -np.inf)
    score[0] = likelihoods[0, 0]
    moved = np.zeros((frames, n), dtype=bool)
    before = np.full(n, -np.inf)
    for frame in range(1, frames):
        before[1:] = score[:-1]
        moved[frame] = before > score
        score = np.maximum(before, score) + likelihoods[frame]
    durations = np.zeros(n, dtype=np.int64)
    state = n - 1
    for frame in range(frames - 1, -1, -1):
        durations[state] += 1
        state -= int(moved[frame, state])
    return durations

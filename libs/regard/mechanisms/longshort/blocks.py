"""The fast forms of long-short attention, with windows in blocks, so that no query gathers its own keys.

The definition: `naive.py`; the formulas: `regard.mechanisms.longshort`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange, repeat
from torch import Tensor

from regard.common.checks import check_count, check_flag, check_heads, check_scale, check_tensor
from regard.common.derivatives import fused_attention
from regard.common.nonfinite import any_before, any_in_window, zero_nonfinite
from regard.common.patterns import MASKED_LOGIT, Pattern

NONCAUSAL = ("W_p", "b_p", "ln_long_w", "ln_long_b", "ln_short_w", "ln_short_b")
CAUSAL = ("W_dconv", "b_dconv", "ln_win_w", "ln_win_b", "ln_dproj_w", "ln_dproj_b")
POSITIONS = ("W_r", "W_rc", "b_rc", "r_w_bias", "r_r_bias")


def check_arguments(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    x: Tensor,
    window: int,
    chunk: int,
    causal: bool,
    key_mask: Tensor | None,
    scale: float | None,
    arrays: Mapping[str, Tensor],
) -> None:
    """Raises ValueError or TypeError for arguments that `longshort` cannot take, with the numbers."""
    check_heads(q, k, v, key_mask=key_mask, self_attention=True)
    check_flag(causal, "causal")
    check_count(window, 1, "window")
    check_count(chunk, 1, "chunk")
    check_scale(scale)
    (b, h, n, d) = q.shape
    if v.shape != q.shape:
        raise ValueError(f"v must be as q, {tuple(q.shape)}, got {tuple(v.shape)}")
    check_tensor(x, "x", q.device)
    if x.ndim != 3 or x.shape[:2] != (b, n):
        raise ValueError(f"x must be (b = {b}, n = {n}, width), got {tuple(x.shape)}")
    check_arrays(arrays, causal, h, d, x)


def check_arrays(arrays: Mapping[str, Tensor], causal: bool, h: int, d: int, x: Tensor) -> None:
    """Raises TypeError for names and ValueError for shapes that are not those of `longshort`."""
    needed = CAUSAL + (POSITIONS if causal and arrays.keys() & set(POSITIONS) else ()) if causal else NONCAUSAL
    if arrays.keys() != set(needed):
        raise TypeError(f"causal = {causal} needs the arrays {', '.join(needed)}, got {', '.join(arrays) or 'none'}")
    for name in needed:
        check_tensor(arrays[name], name, x.device)
    rows = len(arrays[needed[0]]) if arrays[needed[0]].ndim else 0
    if rows < 1 or rows % h:
        raise ValueError(f"{needed[0]} must have a multiple of h = {h} rows, got {rows}")
    wanted = {needed[0]: (rows, x.shape[2]), needed[1]: (rows,), **dict.fromkeys(needed[2:], (h * d,))}
    wanted |= {"W_r": (h * d, h * d), "W_rc": (h * d, h * d), "r_w_bias": (h, d), "r_r_bias": (h, d)}
    for name in needed:
        if arrays[name].shape != wanted[name]:
            raise ValueError(f"{name} must be {wanted[name]}, got {tuple(arrays[name].shape)}")


def block_noncausal_longshort(
    q: Tensor, k: Tensor, v: Tensor, x: Tensor, window: int, key_mask: Tensor | None, arrays: Mapping[str, Tensor]
) -> Tensor:
    """Fused attention of each block of queries over the compression and its keys.

    q (scaled), k, v `(b, h, n, d)`, zero where masked -> `(b, h, n, d)`.
    """
    h, n = q.shape[1:3]
    keys, values = (norm_over_heads(y, arrays["ln_long_w"], arrays["ln_long_b"]) for y in (k, v))
    logits = rearrange(x @ arrays["W_p"].mT + arrays["b_p"], "b n (h c) -> b h n c", h=h)
    real = torch.ones(1, n, dtype=torch.bool, device=q.device) if key_mask is None else key_mask
    weights = logits.masked_fill(~real[:, None, :, None], MASKED_LOGIT).softmax(2).mT  # b h c n
    margin, padding = reach(window), -n % window

    def blocks(y: Tensor) -> Tensor:  # b h n d -> b (h g) keys d
        around = F.pad(y, (0, 0, margin, margin + padding)).unfold(2, window + 2 * margin, window)
        return rearrange(around, "b h g d j -> b (h g) j d")

    def with_compressed(y: Tensor) -> Tensor:
        short = norm_over_heads(weights @ y, arrays["ln_short_w"], arrays["ln_short_b"])  # b h c d
        near = blocks(y)
        return torch.cat((repeat(short, "b h c d -> b (h g) c d", g=near.shape[1] // h), near), 2)

    seen = F.pad(real, (margin, margin + padding)).unfold(1, window + 2 * margin, window)  # b g keys
    seen = F.pad(seen, (logits.shape[-1], 0), value=True)
    queries = rearrange(F.pad(q, (0, 0, 0, padding)), "b h (g i) d -> b (h g) i d", i=window)
    out = fused_attention(
        queries,
        with_compressed(keys),
        with_compressed(values),
        attn_mask=repeat(seen, "b g j -> b (h g) 1 j", h=h).expand(q.shape[0], -1, -1, -1),
        scale=1.0,
    )
    # The kernel returns 0 for scores that are NaN. All queries see the compression, and that sees all.
    seen_whole = torch.stack([y.flatten(1).isfinite().all(1) for y in (k, v, x)]).all(0)[:, None, None, None]
    out = rearrange(out, "b (h g) i d -> b h (g i) d", h=h)[:, :, :n]
    return out.masked_fill(~(seen_whole & q.isfinite().all(-1, keepdim=True)), torch.nan)


def block_causal_longshort(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    x: Tensor,
    window: int,
    chunk: int,
    key_mask: Tensor | None,
    arrays: Mapping[str, Tensor],
) -> Tensor:
    """Each block of `window` queries scores the block before, itself and all compressed vectors.

    q (scaled), k, v `(b, h, n, d)`, zero where masked -> `(b, h, n, d)`.
    """
    (_, h, n, d), padding = q.shape, -q.shape[2] % window
    place = torch.arange(n, device=q.device)
    (k, bad_k), (v, bad_v), (x, bad_x) = zero_nonfinite(k), zero_nonfinite(v), zero_nonfinite(x)
    bad = (bad_k.any((1, 3)) | bad_v.any((1, 3)))[:, :, None]  # b n 1: a LayerNorm runs over all heads
    poisoned = any_in_window(bad, window - 1, 0) | any_before(bad | bad_x.any(2, keepdim=True), chunk)
    real = torch.ones(1, n, dtype=torch.bool, device=q.device) if key_mask is None else key_mask

    ended = (n - 1) // chunk  # chunks that some query sees
    inside = rearrange(real[:, : ended * chunk], "b (s i) -> b s i", i=chunk)
    logits = x[:, : ended * chunk] @ arrays["W_dconv"].mT + arrays["b_dconv"]
    logits = rearrange(logits, "b (s i) (h r) -> b h s i r", i=chunk, h=h)
    shares = logits.masked_fill(~inside[:, None, :, :, None], MASKED_LOGIT).softmax(3).mT  # b h s r i
    rank, count = shares.shape[3], ended * shares.shape[3]

    def compressed(y: Tensor) -> Tensor:
        chunks = rearrange(y[:, :, : ended * chunk], "b h (s i) d -> b h s i d", i=chunk)
        return norm_over_heads((shares @ chunks).flatten(2, 3), arrays["ln_dproj_w"], arrays["ln_dproj_b"])

    def blocks(y: Tensor) -> Tensor:  # b h n d -> b h g (2 window) d: the block before, and its own
        y = norm_over_heads(y, arrays["ln_win_w"], arrays["ln_win_b"])
        return F.pad(y, (0, 0, window, padding)).unfold(2, 2 * window, window).mT

    def grouped(y: Tensor) -> Tensor:  # b h n · -> b h g window ·
        return rearrange(F.pad(y, (0, 0, 0, padding)), "b h (g i) d -> b h g i d", i=window)

    long_keys, near_keys = compressed(k), blocks(k)
    to_long = q @ long_keys.mT  # b h n (s r)
    # Above 0 where the vector lies before i's chunk.
    before = (place // chunk)[:, None] * rank - torch.arange(count, device=q.device)
    # The own key of query a of a block is at window + a.
    away = torch.arange(window, 2 * window, device=q.device)[:, None] - torch.arange(2 * window, device=q.device)
    if "W_r" in arrays:
        table = sinusoids(torch.arange(max(window, count), device=q.device), h * d, q.dtype)
        terms = rearrange(table[:count] @ arrays["W_rc"].mT + arrays["b_rc"], "t (h d) -> h t d", h=h)
        to_long = to_long + take(q @ terms.mT, (before - 1).clamp(min=0))
        terms = rearrange(table[:window] @ arrays["W_r"].mT, "t (h d) -> h t d", h=h)
        relative = grouped((q + arrays["r_r_bias"][:, None]) @ terms.mT)
        to_near = grouped(q + arrays["r_w_bias"][:, None]) @ near_keys.mT
        to_near = to_near + take(relative, away.clamp(0, window - 1))
    else:
        to_near = grouped(q) @ near_keys.mT

    seen = (before > 0) & inside.any(2).repeat_interleave(rank, 1)[:, None]  # b n (s r)
    near = F.pad(real, (window, padding)).unfold(1, 2 * window, window)  # b g (2 window)
    near = ((away >= 0) & (away < window)) & near[:, :, None]  # b g window (2 window)
    scores = torch.cat(
        (
            grouped(to_long.masked_fill(~seen[:, None], MASKED_LOGIT)),
            to_near.masked_fill(~near[:, None], MASKED_LOGIT),
        ),
        -1,
    )
    weights = scores.softmax(-1)
    far, close = weights[..., :count], weights[..., count:]
    out = far @ compressed(v)[:, :, None] + close @ blocks(v)
    # A score of -inf would lie below those of unseen keys.
    poisoned = poisoned[:, None] | ~q.isfinite().all(-1, keepdim=True)
    return out.flatten(2, 3)[:, :, :n].masked_fill(poisoned, torch.nan)


def reach(window: int) -> int:
    """How far beyond its ends a block of the noncausal form sees."""
    return max(window // 2, 1)


def take(table: Tensor, index: Tensor) -> Tensor:
    """table (…, n, t), index (n, j) below t -> (…, n, j): row i of the table read at row i of the index."""
    return table.gather(-1, index.expand(*table.shape[:-2], *index.shape))


def norm_over_heads(y: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """LayerNorm of y (b, h, n, d) over all heads together, weight and bias (h d)."""
    joined = F.layer_norm(rearrange(y, "b h n d -> b n (h d)"), weight.shape, weight, bias)
    return rearrange(joined, "b n (h d) -> b h n d", h=y.shape[1])


def sinusoids(place: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """s(p) = [sin(p f), cos(p f)], f = 10000^(−2 l / width), for every entry of `place` (…) -> (…, width)."""
    frequency = 10000 ** (-torch.arange(0, width, 2, dtype=dtype, device=place.device) / width)
    angle = place[..., None] * frequency
    return torch.cat((angle.sin(), angle.cos()), -1)


@dataclass(frozen=True)
class Sizes:
    """A layer's options, and the sizes that follow from them."""

    landmarks: int = 16
    window: int | None = None
    chunk: int = 32
    chunk_rank: int = 1
    positions: bool = True
    pattern: Pattern = "noncausal_self"

    @property
    def causal(self) -> bool:
        return self.pattern == "causal_self"

    @property
    def width_of_window(self) -> int:
        return (256 if self.causal else 15) if self.window is None else self.window

    @property
    def columns(self) -> int:
        """Compressed vectors of a chunk, or of all."""
        return self.chunk_rank if self.causal else self.landmarks

    def compressed(self, n: int) -> int:
        """How many compressed vectors the last of n queries sees."""
        return (n - 1) // self.chunk * self.chunk_rank if self.causal else self.landmarks

    def check(self) -> None:
        """Raises ValueError or TypeError for an option that cannot be."""
        for name in ("landmarks", "chunk", "chunk_rank"):
            check_count(getattr(self, name), 1, name)
        check_count(self.width_of_window, 1, "window")
        check_flag(self.positions, "positions")

    def scores(self, n: int) -> int:
        """Scores per query and head: compressed vectors, keys of the window, and the columns of the compression."""
        window = self.width_of_window
        return self.compressed(n) + (window if self.causal else window + 2 * reach(window)) + self.columns

    def flops(self, heads: int, n: int, d: int) -> int:
        """FLOPs of the fast form for one batch row, 2 per multiply-add."""
        window, width, far = min(n, self.width_of_window), heads * d, self.compressed(n)
        padded = n + -n % window
        tokens = (n - 1) // self.chunk * self.chunk if self.causal else n
        compression = tokens * self.columns * (width + 2 * d)
        near = 2 * window if self.causal else window + 2 * reach(window)
        attention = padded * 2 * near * d + (n + padded if self.causal else 2 * padded) * far * d
        positions = 0
        if self.causal and self.positions:
            positions = (far + window) * (width * d + n * d)
        return 2 * heads * (compression + attention + positions)

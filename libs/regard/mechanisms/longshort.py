"""Long-Short Transformer attention: every query attends to its window and to a compression of the whole, in one softmax.

    out_i = softmax([scale · q_i · K̄ ; scale · q_i · K_win(i)]) [V̄ ; V_win(i)]        scale = d^(-1/2)

Noncausal: K = LN_long(k), V = LN_long(v), P = softmax over positions of x W_pᵀ + b_p (h c columns), K̄ = LN_short(Pᵀ K), V̄ = LN_short(Pᵀ V).
The block g = ⌊i / window⌋ of queries sees the keys [g window − s, (g + 1) window + s), s = max(⌊window / 2⌋, 1).
Causal: each chunk of tokens is compressed to r vectors, P = softmax inside the chunk of x W_dconvᵀ + b_dconv (h r columns), K̄ = LN_dproj(Pᵀ k),
V̄ = LN_dproj(Pᵀ v); query i sees those of the chunks before its own, and LN_win of the keys and values i − window + 1 … i. With positions,
the scores are (q̂ = scale · q)

    window      (q̂_i + r_w_bias) · k_j + (q̂_i + r_r_bias) · W_r s(i − j)
    compressed  q̂_i · k̄_p + q̂_i · (W_rc s(t) + b_rc)        t: how many compressed vectors lie between p and the last that i sees

with s(t) = [sin(t f), cos(t f)], f = 10000^(−2 l / w). Zhu et al., "Long-Short Transformer", 2021, in the form of CAB's library, without the
all-zero memory that its causal class keeps in front and that takes softmax mass. LayerNorms run over all heads together; masked queries get 0.
Time and memory O(n (window + c)); causal O(n (window + n r / chunk)), as the definition has it.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from einops import rearrange
from torch import Tensor, nn

import regard.longshort_blocks as fast
from regard.layer import Attention
from regard.patterns import Pattern, zero_masked
from regard.precision import keeps_types
from regard.registry import mechanism


def naive_longshort(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    x: Tensor,
    window: int,
    causal: bool = False,
    chunk: int = 32,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    **arrays: Tensor,
) -> Tensor:
    """The definition, one row and one query at a time. Arguments as `longshort`."""
    (b, h, n, d), rows = q.shape, []
    control, full, short = ("dconv", "win", "dproj") if causal else ("p", "long", "short")

    def norm(y: Tensor, name: str) -> Tensor:
        return fast.norm_over_heads(y[None], arrays[f"ln_{name}_w"], arrays[f"ln_{name}_b"])[0]

    def term(distances: list[int], matrix: str) -> Tensor:  # h (distances) d
        places = fast.sinusoids(torch.tensor(distances, device=q.device), h * d, q.dtype)
        return rearrange(places @ arrays[matrix].mT, "t (h d) -> h t d", h=h)

    for row in range(b):
        kept = [j for j in range(n) if key_mask is None or key_mask[row, j]]
        out = dict.fromkeys(range(n), q.new_zeros(h, d))
        keys, values = (y[row][:, kept] for y in (k, v))
        logits = rearrange(x[row, kept] @ arrays[f"W_{control}"].mT + arrays[f"b_{control}"], "j (h c) -> h j c", h=h)
        near_keys, near_values = norm(keys, full), norm(values, full)
        sources = (keys, values) if causal else (near_keys, near_values)
        starts = range(0, n - chunk, chunk) if causal else [0]
        pieces = [[t for t, j in enumerate(kept) if not causal or s <= j < s + chunk] for s in starts]
        far = [[norm(logits[:, i].softmax(1).mT @ y[:, i], short) for i in pieces] for y in sources]
        for i in kept:
            behind, c, block = i // chunk, logits.shape[2], i // window * window
            seen = [s for s, piece in enumerate(pieces) if piece and (s < behind or not causal)]
            first, last = (
                (i - window + 1, i) if causal else (block - fast.reach(window), block + window + fast.reach(window) - 1)
            )
            near = [u for u, j in enumerate(kept) if first <= j <= last]
            query = q[row, :, i, None] * (d**-0.5 if scale is None else scale)  # h 1 d
            far_keys, far_values = (torch.cat([near_keys[:, :0], *(y[s] for s in seen)], 1) for y in far)
            to_far, to_near = query @ far_keys.mT, query @ near_keys[:, near].mT
            if "W_r" in arrays:
                between = [behind * c - 1 - (s * c + vector) for s in seen for vector in range(c)]
                bias = rearrange(arrays["b_rc"], "(h d) -> h 1 d", h=h)
                to_far = query @ (far_keys + term(between, "W_rc") + bias).mT
                to_near = to_near + arrays["r_w_bias"][:, None] @ near_keys[:, near].mT
                to_near = to_near + (query + arrays["r_r_bias"][:, None]) @ term([i - kept[u] for u in near], "W_r").mT
            weights = torch.cat((to_far, to_near), 2).softmax(2)
            out[i] = (weights @ torch.cat((far_values, near_values[:, near]), 1))[:, 0]
        rows.append(torch.stack(list(out.values()), 1))
    return torch.stack(rows) if rows else q


@keeps_types
def longshort(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    x: Tensor,
    window: int,
    causal: bool = False,
    chunk: int = 32,
    key_mask: Tensor | None = None,
    scale: float | None = None,
    **arrays: Tensor,
) -> Tensor:
    """Long-short attention on split heads, self attention only.

    q, k, v (b, h, n, d), before any LayerNorm and scale, x (b, n, width) -> (b, h, n, d). `key_mask` (b, n), True = keep. `arrays`, matrices
    (out, in), w = h d: noncausal `W_p` (h c, width), `b_p`, `ln_long_w`, `ln_long_b`, `ln_short_w`, `ln_short_b` (w); causal, with `chunk`,
    `W_dconv` (h r, width), `b_dconv`, `ln_win_w`, `ln_win_b`, `ln_dproj_w`, `ln_dproj_b` (w), and all or none of the positions `W_r`, `W_rc`
    (w, w), `b_rc` (w), `r_w_bias`, `r_r_bias` (h, d).
    Positions count from the start of a row, so that padding belongs at its end. Half precision is summed in float32.
    Raises ValueError or TypeError for sizes that cannot be and for missing, unknown or misshapen arrays.
    """
    fast.check_arguments(q, k, v, x, window, chunk, causal, key_mask, scale, arrays)
    if (n := q.shape[2]) == 0:
        return v
    dtype, wide = q.dtype, torch.promote_types(q.dtype, torch.float32)
    q, k, v, x = (zero_masked(y, key_mask).to(wide) for y in (q, k, v, x))
    q = q * (q.shape[3] ** -0.5 if scale is None else scale)
    arrays = {name: array.to(wide) for name, array in arrays.items()}
    if causal:
        out = fast.causal_blocks(q, k, v, x, min(window, n), chunk, key_mask, arrays)
    else:
        out = fast.noncausal_blocks(q, k, v, x, min(window, n), key_mask, arrays)
    return zero_masked(out, key_mask).to(dtype)


@mechanism(
    "longshort", patterns=("noncausal_self", "causal_self"), paper="Zhu et al. 2021, as in CAB (Zhang et al. 2023)"
)
class LongShortAttention(Attention):
    """Multi-head long-short attention; noncausal takes `landmarks`, causal `chunk`, `chunk_rank` and `positions`.

    `window` is 15, causal 256, as in CAB, whose causal class has no biases in its four maps (`bias=False`). Padding belongs at the end.
    """

    needs_input = True
    example: ClassVar[Mapping[str, Any]] = {"landmarks": 4, "window": 6, "chunk": 4, "chunk_rank": 2}

    def __init__(
        self,
        *,
        width: int,
        heads: int,
        landmarks: int = 16,
        window: int | None = None,
        chunk: int = 32,
        chunk_rank: int = 1,
        positions: bool = True,
        pattern: Pattern = "noncausal_self",
        bias: bool = True,
    ) -> None:
        sizes = fast.Sizes(landmarks, window, chunk, chunk_rank, positions, pattern)
        sizes.check()
        super().__init__(width=width, heads=heads, pattern=pattern, bias=bias)
        if self.causal and positions and width % 2:
            raise ValueError(f"sines and cosines of positions need an even width, got {width}")
        self.window, self.chunk = sizes.width_of_window, chunk
        self.full_norm, self.compressed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.compression = nn.Linear(width, heads * sizes.columns)
        self.positions = self.causal and positions
        if self.positions:
            self.window_positions = nn.Linear(width, width, bias=False)
            self.compressed_positions = nn.Linear(width, width)
            self.content_bias = nn.Parameter(torch.zeros(heads, width // heads))
            self.position_bias = nn.Parameter(torch.zeros(heads, width // heads))

    def options(self, x: Tensor) -> dict[str, Any]:
        """What `longshort` and `naive_longshort` take from the layer and its input x (b, n, w)."""
        options = {"x": x, "window": self.window, "causal": self.causal, "chunk": self.chunk}
        matrix, full, compressed = ("W_dconv", "win", "dproj") if self.causal else ("W_p", "long", "short")
        options |= {matrix: self.compression.weight, f"b{matrix[1:]}": self.compression.bias}
        for name, norm in ((full, self.full_norm), (compressed, self.compressed_norm)):
            options |= {f"ln_{name}_w": norm.weight, f"ln_{name}_b": norm.bias}
        if self.positions:
            options |= {"W_r": self.window_positions.weight, "W_rc": self.compressed_positions.weight}
            options |= {"b_rc": self.compressed_positions.bias}
            options |= {"r_w_bias": self.content_bias, "r_r_bias": self.position_bias}
        return options

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, **also: Tensor) -> Tensor:
        return longshort(q, k, v, key_mask=key_mask, **self.options(**also))

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, **also: Tensor) -> Tensor:
        return naive_longshort(q, k, v, key_mask=key_mask, **self.options(**also))

    @classmethod
    def parameter_count(cls, *, width: int, heads: int, length: int, bias: bool = True, **options: Any) -> int:
        """The maps, (w + 1) h c of the compression and 4 w of the LayerNorms; causal with positions 2 w² + 3 w besides. Reads `pattern`."""
        given = fast.Sizes(**options)
        maps = super().parameter_count(width=width, heads=heads, length=length, bias=bias)
        positions = 2 * width * width + 3 * width if given.causal and given.positions else 0
        return maps + (width + 1) * heads * given.columns + 4 * width + positions

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """Compression, scores and sums of what `mix` computes: in blocks, of n rounded up to the window, and causal over two windows."""
        return fast.Sizes(**options).flops(heads, n, d)

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, **options: Any) -> int:
        """n times the compressed vectors, the keys of a window and the scores of the compression. Reads `pattern`."""
        return heads * n * fast.Sizes(**options).scores(n)

"""Long-short attention: the function on split heads and the layer.

Formulas and source: `regard.mechanisms.longshort`.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from regard.attention import Attention
from regard.common.autocast import disable_autocast
from regard.common.patterns import Pattern, zero_masked
from regard.mechanisms.longshort.blocks import Sizes, block_causal_longshort, block_noncausal_longshort, check_arguments
from regard.mechanisms.longshort.naive import naive_longshort
from regard.registry import mechanism


@disable_autocast
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
    """Long-short attention on split heads, self attention only (Zhu et al. 2021). Half precision is summed in float32.

    Positions count from the start of a row, so padding belongs at its end.

    Args:
        q: Queries `(b, h, n, d)`, before any scale.
        k: Keys `(b, h, n, d)`, before any LayerNorm.
        v: Values `(b, h, n, d)`, before any LayerNorm.
        x: The layer's input `(b, n, width)`, from which the compression is computed.
        window: Queries per block, at least 1; if causal, keys that a query sees.
        causal: Must query i not see keys j > i? Needs n = m. Default: False.
        chunk: Causal, tokens that are compressed together. Default: 32.
        key_mask: `(b, n)`, boolean, True = keep. Default: None, all tokens.
        scale: Factor of q · k. Default: None, d ** -0.5.
        arrays: Weights by name, matrices (out, in), w = h d. Noncausal `W_p` `(h c, width)`, `b_p`, `ln_long_w`,
            `ln_long_b`, `ln_short_w`, `ln_short_b` `(w)`. Causal `W_dconv` `(h r, width)`, `b_dconv`, `ln_win_w`,
            `ln_win_b`, `ln_dproj_w`, `ln_dproj_b` `(w)`, and all or none of the positions `W_r`, `W_rc` `(w, w)`,
            `b_rc` `(w)`, `r_w_bias`, `r_r_bias` `(h, d)`.

    Returns:
        `(b, h, n, d)`; masked queries get 0.

    Raises:
        ValueError: Sizes that cannot be, misshapen arrays.
        TypeError: Missing or unknown arrays, arguments of the wrong type.
    """
    check_arguments(q, k, v, x, window, chunk, causal, key_mask, scale, arrays)
    if (n := q.shape[2]) == 0:
        return v
    dtype, wide = q.dtype, torch.promote_types(q.dtype, torch.float32)
    q, k, v, x = (zero_masked(y, key_mask).to(wide) for y in (q, k, v, x))
    q = q * (q.shape[3] ** -0.5 if scale is None else scale)
    arrays = {name: array.to(wide) for name, array in arrays.items()}
    if causal:
        out = block_causal_longshort(q, k, v, x, min(window, n), chunk, key_mask, arrays)
    else:
        out = block_noncausal_longshort(q, k, v, x, min(window, n), key_mask, arrays)
    return zero_masked(out, key_mask).to(dtype)


@mechanism(
    "longshort", patterns=("noncausal_self", "causal_self"), paper="Zhu et al. 2021, as in CAB (Zhang et al. 2023)"
)
class LongShortAttention(Attention):
    """Multi-head long-short attention. Padding belongs at the end.

    CAB's causal class has no biases in its projections (`bias=False`).

    Args:
        width: Model width w.
        heads: Number of heads h; must divide `width`.
        landmarks: Noncausal, compressed vectors c per head. Default: 16.
        window: As in `longshort`. Default: None, 15 and causal 256, CAB's.
        chunk: Causal, tokens that are compressed together. Default: 32.
        chunk_rank: Causal, compressed vectors r per chunk. Default: 1.
        positions: If causal, add terms of relative positions? They need an even width. Default: True.
        pattern: One of the class's `patterns`. Default: "noncausal_self".
        bias: Do the projections have biases? Default: True.

    Raises:
        ValueError: Impossible sizes or options.
        TypeError: Options of the wrong type.
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
        sizes = Sizes(landmarks, window, chunk, chunk_rank, positions, pattern)
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

    def reset_own(self) -> None:
        """As in construction: torch's own initialisation for norms and maps, zero biases of the scores."""
        names = ("full_norm", "compressed_norm", "compression", "window_positions", "compressed_positions")
        for module in (getattr(self, name, None) for name in names):
            if module is not None:
                module.reset_parameters()
        if self.positions:
            nn.init.zeros_(self.content_bias)
            nn.init.zeros_(self.position_bias)

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
        """The maps, (w + 1) h c of the compression and 4 w of the LayerNorms; causal with positions 2 w² + 3 w more.

        Reads `pattern`.
        """
        given = Sizes(**options)
        maps = super().parameter_count(width=width, heads=heads, length=length, bias=bias)
        positions = 2 * width * width + 3 * width if given.causal and given.positions else 0
        return maps + (width + 1) * heads * given.columns + 4 * width + positions

    @classmethod
    def mix_flops(cls, *, heads: int, n: int, m: int, d: int, e: int, **options: Any) -> int:
        """Compression, scores and sums of what `mix` computes.

        In blocks, of n rounded up to the window, and causal over two windows.
        """
        return Sizes(**options).flops(heads, n, d)

    @classmethod
    def score_entries(cls, *, heads: int, n: int, m: int, **options: Any) -> int:
        """n times the compressed vectors, the keys of a window and the scores of the compression. Reads `pattern`."""
        return heads * n * Sizes(**options).scores(n)

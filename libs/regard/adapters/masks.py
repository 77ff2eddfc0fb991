"""Which keys a query may see in a call of another library, described by a few properties instead of an n × m matrix.

    Asked(causal=True, key_mask=keep, window=(4095, 0))

Transformers describes a mask by a function of positions (`causal_mask_function` and what is combined with it);
`described` reads these functions. torch takes a tensor; `read_mask` finds out whether it expresses only causality,
padding and a window. Whatever neither can describe is `other`, which only softmax attention supports, by the model's
own code.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_map

Window = tuple[int, int]
DROPPED = -1e4  # what is added to drop a key, or less: older models add −10,000, which half precision can hold


@dataclass(frozen=True)
class Asked:
    """What one call asks of its attention, beside q, k, v and the scale.

    Args:
        causal: Must query i not see the keys after it? If so, the queries are the last n of the m keys. Default: False.
        key_mask: `(b, m)`, True = keep. Default: None, all keys.
        window: How many keys (before, after) its own position a query sees. Default: None, all.
        segments: `(b, m)`, integers: a query sees keys of its own segment alone. Default: None, one segment.
        first_key: Keys that the model has dropped before the first of these (a rolling cache). Default: 0.
        keys: How many of the m keys are filled, counted from the first (a static cache). Default: None, all.
        other: What else the call asks for, in words. Default: "", nothing.
    """

    causal: bool = False
    key_mask: Tensor | None = None
    window: Window | None = None
    segments: Tensor | None = None
    first_key: int = 0
    keys: int | None = None
    other: str = ""


def narrower(a: Window | None, b: Window | None) -> Window | None:
    """The window of the keys that lie inside both windows."""
    if a is None or b is None:
        return a or b
    return min(a[0], b[0]), min(a[1], b[1])


def within(window: Window | None, n: int, m: int, *, causal: bool) -> Window | None:
    """The window, or None where it hides no key: the first query of n is then still near enough to the first of m keys."""
    if window is None or (window[0] >= m - 1 and (causal or window[1] >= n - 1)):
        return None
    return window


# -- transformers


def described(function: Callable[..., Any] | None) -> Asked:
    """What a mask function of transformers says; `other` names what it says beyond causality, windows and segments."""
    from transformers.masking_utils import bidirectional_mask_function, causal_mask_function

    if function is causal_mask_function:
        return Asked(causal=True)
    if function is None or function is bidirectional_mask_function:
        return Asked()
    name = str(getattr(function, "__qualname__", function)).split(".")[0]
    cells = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    held = dict(zip(function.__code__.co_freevars, cells, strict=True)) if cells else {}
    if name == "and_masks":
        asked = Asked()
        for part in held["mask_functions"]:
            asked = both(asked, described(part))
        return asked
    if name == "sliding_window_overlay":
        return Asked(window=(int(held["sliding_window"]) - 1, 2**62))
    if name == "sliding_window_bidirectional_overlay":
        return Asked(window=(int(held["sliding_window"]),) * 2)
    if name == "packed_sequence_mask_function":
        return Asked(segments=held["packed_sequence_mask"])
    if name == "remap_positions_for_packed_sequence":  # inside a segment places and positions run alike
        return described(held["mask_function"])
    words = {
        "chunked_overlay": "attention in chunks",
        "blockwise_overlay": "blocks that see themselves whole",
        "or_masks": "a mask beside the causal one",
    }
    return Asked(other=f"{words.get(name, 'a mask of its own')} ({getattr(function, '__qualname__', function)})")


def both(a: Asked, b: Asked) -> Asked:
    """A key is seen if both let it be seen."""
    segments = a.segments if b.segments is None else b.segments
    other = a.other or b.other
    if a.segments is not None and b.segments is not None:
        other = other or "segments inside segments"
    return Asked(causal=a.causal or b.causal, window=narrower(a.window, b.window), segments=segments, other=other)


class DescribedMask:
    """The mask that a model of transformers hands from its mask function to its attention: what it says, and no matrix.

    A model that works on its mask itself, instead of passing it on, gets the matrix that transformers would have made
    for "eager" attention (0 and −max, to add). The matrix is made when it is first used.
    """

    def __init__(self, asked: Asked, given: dict[str, Any]) -> None:
        self.asked, self.given = asked, given
        self._made: dict[str, Tensor | None] = {}

    def for_implementation(self, name: str) -> Tensor | None:
        """The mask that transformers makes for this implementation."""
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

        if name not in self._made:
            self._made[name] = ALL_MASK_ATTENTION_FUNCTIONS[name](**self.given)
        return self._made[name]

    def matrix(self) -> Tensor:
        """The mask to add to the scores, `(b, 1, n, m)`."""
        from transformers.masking_utils import eager_mask

        if (made := self._made.get("matrix")) is None:
            made = eager_mask(**{**self.given, "allow_is_bidirectional_skip": False, "dtype": self.dtype})
            self._made["matrix"] = made
        return made

    @property
    def shape(self) -> torch.Size:
        return torch.Size((self.given["batch_size"], 1, self.given["q_length"], self.given["kv_length"]))

    @property
    def ndim(self) -> int:
        return 4

    @property
    def dtype(self) -> torch.dtype:
        return self.given.get("dtype") or torch.float32

    @property
    def device(self) -> torch.device:
        return torch.device(self.given.get("device", "cpu"))

    def to(self, *where: Any, **more: Any) -> Any:
        """Itself on another device: the matrix goes where the model's states are. In another type, the matrix."""
        asked = more.get("dtype", next((x for x in where if isinstance(x, torch.dtype)), self.dtype))
        return self if asked == self.dtype else self.matrix().to(*where, **more)

    def clone(self, **more: Any) -> "DescribedMask":
        return self

    def contiguous(self, **more: Any) -> "DescribedMask":
        return self

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("given", "asked"):
            raise AttributeError(name)
        return getattr(self.matrix(), name)

    def __getitem__(self, place: Any) -> Tensor:
        return self.matrix()[place]

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def unwrapped(x: Any) -> Any:
            return x.matrix() if isinstance(x, DescribedMask) else x

        return function(*tree_map(unwrapped, args), **tree_map(unwrapped, kwargs or {}))


def _operator(name: str) -> Callable[..., Any]:
    operation, reflected = getattr(operator, name.strip("_").removeprefix("r"), None), name.startswith("__r")
    if operation is None:
        operation, reflected = getattr(operator, name), False

    def operate(self: DescribedMask, *others: Any) -> Any:
        plain = [x.matrix() if isinstance(x, DescribedMask) else x for x in others]
        return operation(*plain, self.matrix()) if reflected else operation(self.matrix(), *plain)

    return operate


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "and_",
    "or_",
    "radd",
    "rsub",
    "rmul",
    "lt",
    "le",
    "gt",
    "ge",
    "eq",
    "ne",
    "xor",
    "pow",
    "mod",
    "floordiv",
    "neg",
    "invert",
):
    _dunder = f"__{_name.strip('_')}__"
    setattr(DescribedMask, _dunder, _operator(f"__{_name}__" if _name.startswith("r") else _name))


def described_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: Any = 0,
    kv_offset: int = 0,
    mask_function: Callable[..., Any] | None = None,
    attention_mask: Any = None,
    **others: Any,
) -> DescribedMask:
    """The mask function that Regard registers with transformers.

    Args:
        batch_size: b.
        q_length: Queries of this call.
        kv_length: Keys, as transformers counts them.
        q_offset: Queries before this call. Default: 0.
        kv_offset: Keys before the first. Default: 0.
        mask_function: Transformers' description of the mask. Default: None, no mask.
        attention_mask: `(b, m)`, 1 = keep. Default: None.
        others: What else transformers passes to mask functions.

    Returns:
        The mask; nothing is refused here, because a layer that keeps its own attention can handle every mask.
    """
    if isinstance(attention_mask, DescribedMask):  # made before, and handed to an inner model
        return attention_mask
    given: dict[str, Any] = {"batch_size": batch_size, "q_length": q_length, "kv_length": kv_length}
    given |= {"q_offset": q_offset, "kv_offset": kv_offset, "attention_mask": attention_mask, **others}
    if mask_function is not None:
        given["mask_function"] = mask_function
    asked = described(mask_function)
    last_query, last_key = int(q_offset) + q_length, kv_offset + kv_length
    keys = last_query - kv_offset if asked.causal and last_query < last_key else None
    if asked.causal and last_query > last_key:
        asked = replace(asked, other=asked.other or f"{last_query} queries so far but {last_key} keys")
    kept = padding(attention_mask, kv_offset, last_key)
    return DescribedMask(replace(asked, key_mask=kept, first_key=kv_offset, keys=keys), given)


def padding(attention_mask: Tensor | None, first: int, last: int) -> Tensor | None:
    """Keys first … last − 1 of a `(b, m)` mask with 1 = keep: boolean, or None if nothing is padded."""
    if attention_mask is None:
        return None
    kept = attention_mask.to(torch.bool)
    kept = F.pad(kept, (0, max(0, last - kept.shape[1])))[:, first:last]
    return None if not torch.compiler.is_compiling() and bool(kept.all()) else kept


# -- torch


def read_mask(mask: Tensor, b: int, n: int, m: int, *, offset: int, causal: bool | None = None) -> Asked:
    """The meaning of a mask that torch's attention takes, read from its values. It costs time and memory O(n m).

    Args:
        mask: Broadcast to `(b, h, n, m)`; boolean with True = keep, or floating point, to add.
        b: Batch size.
        n: Queries.
        m: Keys.
        offset: The position of the first query among the keys, for windows and causality.
        causal: Causality where the mask does not determine it, as for a single query that sees all. Default: None,
            noncausal.

    Returns:
        Causality, padding and a window if these describe the mask completely; else `other`.
    """
    said = f"the attention mask {tuple(mask.shape)} of {mask.dtype} is not padding, causality or a window"
    if mask.ndim > 4 or mask.ndim < 2:
        return Asked(other=said)
    mask = mask.reshape((1,) * (4 - mask.ndim) + tuple(mask.shape))
    if mask.dtype == torch.bool:
        seen = mask
    elif mask.is_floating_point():
        seen = mask == 0
        if not bool((seen | (mask <= DROPPED)).all()):
            return Asked(other=f"a bias of the scores ({tuple(mask.shape)} of {mask.dtype})")
    else:
        return Asked(other=said)
    try:
        seen = seen.expand(b, seen.shape[1], n, m)
    except RuntimeError:
        return Asked(other=f"{said}; the call has b = {b}, n = {n}, m = {m}")
    if seen.shape[1] > 1 and not bool((seen == seen[:, :1]).all()):
        return Asked(other="a mask of each head")
    seen = seen[:, 0]  # b n m
    keys = seen.any(1)
    ahead = torch.arange(m, device=mask.device) - offset - torch.arange(n, device=mask.device)[:, None]  # j − i
    # A padded query that sees nothing has no meaning.
    rows = seen.any(2) | keys if n == m and offset == 0 else torch.ones(b, n, dtype=torch.bool, device=mask.device)
    far = ahead.expand_as(seen)[seen]
    before, after = (0, 0) if far.numel() == 0 else (int(-far.min()), max(0, int(far.max())))
    plain = [Asked(causal=each) for each in (bool(causal), not causal)]
    for asked in [*plain, Asked(causal=after == 0, window=(before, after))]:
        wanted = keys[:, None, :].expand_as(seen)
        if asked.causal:
            wanted = wanted & (ahead <= 0)
        if asked.window is not None:
            wanted = wanted & (ahead >= -asked.window[0]) & (ahead <= asked.window[1])
        if torch.equal(wanted[rows], seen[rows]):
            return replace(asked, key_mask=None if bool(keys.all()) else keys)
    return Asked(other=said)

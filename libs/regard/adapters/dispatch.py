"""One attention call of another library, handed to a mechanism that supports all it asks for, or refused."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from regard.adapters.masks import Asked, within
from regard.attention import Call, claimed
from regard.common.autocast import autocast_enabled
from regard.common.patterns import Pattern
from regard.registry import UnsupportedPattern, mechanism_class


@dataclass(frozen=True)
class Chosen:
    """The mechanism that an attention runs.

    Args:
        mechanism: Its name.
        options: Its options, complete.
        seed: Seed of what it draws.
    """

    mechanism: str
    options: dict[str, Any] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True)
class Mixed:
    """The result of a call, and what observers are told about it."""

    output: Tensor
    observed: dict[str, Any]


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def capabilities(mechanism: str) -> tuple[str, ...]:
    """`function_takes` of a mechanism's class, and "stepwise" if it is: a constant in a compiled graph."""
    cls = mechanism_class(mechanism)
    takes: tuple[str, ...] = claimed(cls, "function_takes")
    return (*takes, "stepwise") if claimed(cls, "stepwise") else takes


def pattern_of(asked: Asked, n: int, m: int, *, across: bool, target_is_causal: bool) -> Pattern:
    """The pattern that a call asks for. `across`: keys of another sequence; `target_is_causal`: in a causal decoder."""
    if asked.causal:
        return "causal_self"
    if across or n != m:
        return "causal_cross" if target_is_causal else "noncausal_cross"
    return "noncausal_self"


def check_pattern(mechanism: str, pattern: Pattern, who: str) -> None:
    """Raises UnsupportedPattern, naming what `who` asks for and what the mechanism has."""
    cls = mechanism_class(mechanism)
    if pattern in cls.patterns:
        return
    why = ""
    if pattern == "causal_cross" and "noncausal_cross" in cls.patterns:
        why = ": it treats all target tokens together, so that later ones would change earlier ones"
    raise UnsupportedPattern(
        f"{who} asks {mechanism!r} for the pattern {pattern!r}; it has {', '.join(cls.patterns)}{why}"
    )


def run(
    chosen: Chosen,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    asked: Asked,
    *,
    who: str,
    scale: float | None = None,
    across: bool = False,
    target_is_causal: bool = False,
) -> Mixed:
    """Run a mechanism for a call.

    Args:
        chosen: The mechanism and its options.
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, g, m, d)`, h a multiple of g.
        v: Values `(b, g, m, e)`.
        asked: Causality, padding, window, segments.
        who: The caller, for messages.
        scale: Factor of q · k. Default: None, d ** -0.5.
        across: Do the keys come from a different sequence than the queries? Default: False.
        target_is_causal: Is this cross attention of a causal target? Default: False.

    Returns:
        The output `(b, h, n, e)` and what observers see.

    Raises:
        ValueError: The mechanism cannot do what is asked; the message says what that is.
        UnsupportedPattern: The mechanism does not have the pattern.
    """
    cls = mechanism_class(chosen.mechanism)
    takes = capabilities(chosen.mechanism)
    if asked.other:
        raise ValueError(f"{who} asks for {asked.other}, which {chosen.mechanism!r} does not have")
    if asked.keys is not None:
        k, v = k[:, :, : asked.keys], v[:, :, : asked.keys]
        asked = replace(asked, keys=None, key_mask=None if asked.key_mask is None else asked.key_mask[:, : asked.keys])
    q, k, v = one_type(q, k, v)
    (b, h, n, d), m = q.shape, k.shape[2]
    if asked.key_mask is not None and asked.key_mask.shape != (b, m):
        if asked.key_mask.shape[1] != m:
            raise ValueError(
                f"{who}: the attention mask must be (batch, keys) = ({b}, {m}), got {tuple(asked.key_mask.shape)}"
            )
        asked = replace(asked, key_mask=asked.key_mask.expand(b, m))
    if k.shape[0] != b:
        k, v = k.expand(b, *k.shape[1:]), v.expand(b, *v.shape[1:])
    pattern = pattern_of(asked, n, m, across=across, target_is_causal=target_is_causal)
    check_pattern(chosen.mechanism, pattern, who)
    window = within(asked.window, n, m, causal=asked.causal)
    if window is not None and "window" not in takes:
        those = f"its keys {window[0]} before" + ("" if asked.causal else f" and {window[1]} after")
        raise ValueError(
            f"{who} asks for a sliding window ({those}, of {m}), which {chosen.mechanism!r} does not have; leave this layer"
            " as it is (regard.swap(…, where=…)), or take 'softmax' or 'local'"
        )
    if asked.causal and n != m and "stepwise" not in takes:
        raise ValueError(
            f"{chosen.mechanism!r} cannot continue from a cache ({n} new of {m} tokens): its outputs depend on earlier queries; use use_cache=False"
        )
    if asked.first_key and "places" in takes:
        raise ValueError(
            f"{who}: {chosen.mechanism!r} weighs keys by their positions, and this cache has dropped its first {asked.first_key} keys"
        )
    if asked.segments is not None:
        if n != m or across:
            raise ValueError(f"{who} asks for packed sequences with {n} queries and {m} keys; they need self attention")
        return Mixed(_by_segment(chosen, q, k, v, asked, who, scale), {})
    groups = h // k.shape[1]
    if groups > 1:
        k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    self_mask = asked.key_mask if not across and n == m else None
    call = Call(
        options=chosen.options,
        seed=chosen.seed,
        causal=asked.causal,
        key_mask=asked.key_mask,
        query_mask=asked.key_mask if asked.causal else self_mask,
        scale=d**-0.5 if scale is None else scale,
        window=window,
    )

    def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return cls.attend(q, k, v, call) if not asked.causal or n == m else cls.attend_last(q, k, v, call)

    output = mix(q, k, v)
    seen = {"q": q, "k": k, "v": v, "output": output, "mixed": mix, "key_mask": asked.key_mask, "query_mask": self_mask}
    seen |= {"attention": cls, "mechanism": chosen.mechanism, "options": cls.drawn_options(q, call)}
    return Mixed(output, seen)


def one_type(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v cast to one dtype, as torch's own attention does under autocast."""
    if q.dtype == k.dtype == v.dtype or not autocast_enabled(q.device.type):
        return q, k, v
    dtype = torch.get_autocast_dtype(q.device.type)
    return q.to(dtype), k.to(dtype), v.to(dtype)


def _by_segment(chosen: Chosen, q: Tensor, k: Tensor, v: Tensor, asked: Asked, who: str, scale: float | None) -> Tensor:
    """Packed sequences: each becomes a padded row of its own, and its output is put back in its place."""
    assert asked.segments is not None
    b, n = q.shape[0], q.shape[2]
    segments = asked.segments.expand(b, n)
    row = torch.arange(b, device=q.device)[:, None].expand(b, n)
    number = torch.unique(torch.stack((row, segments.to(row.dtype)), -1).flatten(0, 1), dim=0, return_inverse=True)[1]
    count = torch.bincount(number)
    order = number.argsort(stable=True)  # tokens by segment, in their order
    first = count.cumsum(0) - count
    place = torch.empty_like(number)
    place[order] = torch.arange(len(number), device=q.device) - first[number[order]]
    rows, longest = len(count), int(count.max())

    def spread(x: Tensor) -> Tensor:  # b · n d -> rows · longest d
        flat = x.transpose(1, 2).flatten(0, 1)
        return x.new_zeros(rows, longest, *flat.shape[1:]).index_put((number, place), flat).transpose(1, 2)

    kept = torch.ones(b, n, dtype=torch.bool, device=q.device) if asked.key_mask is None else asked.key_mask
    mask = torch.zeros(rows, longest, dtype=torch.bool, device=q.device).index_put((number, place), kept.flatten())
    inner = replace(asked, segments=None, key_mask=None if bool(mask.all()) else mask)
    mixed = run(chosen, spread(q), spread(k), spread(v), inner, who=who, scale=scale).output
    back = mixed.transpose(1, 2)[number, place]
    return back.reshape(b, n, *back.shape[1:]).transpose(1, 2)


def torch_call(
    chosen: Chosen,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    attn_mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
    *,
    read: Callable[[Tensor], Asked],
    who: str,
    across: bool,
    target_is_causal: bool,
) -> Mixed:
    """A call of `F.scaled_dot_product_attention`; q, k, v of 3 or 4 dimensions. torch's `is_causal` counts from the first key."""
    shape, n, m = q.shape, q.shape[-2], k.shape[-2]
    asked = Asked() if attn_mask is None else read(attn_mask)
    if is_causal:
        if n > m:
            raise ValueError(f"{who}: causal attention of {n} queries to {m} keys, which no mechanism has")
        k, v, asked = k[..., :n, :], v[..., :n, :], Asked(causal=True)
    if q.ndim == 3:  # (b h) n d or h n d: rows of one head
        q, k, v = (x[:, None] for x in (q, k, v))
    elif q.ndim == 2:
        q, k, v = (x[None, None] for x in (q, k, v))
    elif q.ndim > 4:
        q, k, v = (x.flatten(0, -4) for x in (q, k, v))
    mixed = run(chosen, q, k, v, asked, who=who, scale=scale, across=across, target_is_causal=target_is_causal)
    return replace(mixed, output=mixed.output.reshape(*shape[:-1], v.shape[-1]))

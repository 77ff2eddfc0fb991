"""A mechanism in place of torch's own attention, with the existing trained weights.

    names = regard.replace_attention(model, "smyrf", rounds=2, cluster_size=32)

Every `torch.nn.MultiheadAttention` inside the model, including those of Transformer layers, keeps its identity, its
parameters and their names in the state dict; from then on the mechanism mixes its heads. A mechanism's random draws
become a buffer: `<name>.<pattern>.directions`.
"""

from collections.abc import Collection, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from regard.attention import Attention, claimed
from regard.common.checks import check_flag, check_module, check_seed
from regard.common.patterns import Pattern, is_cross
from regard.observers import weights_of
from regard.registry import UnsupportedPattern, build, mechanism_class

PATTERNS: tuple[Pattern, ...] = ("noncausal_self", "causal_self", "noncausal_cross", "causal_cross")
UNASKED: tuple[Pattern, ...] = ("noncausal_self", "causal_self", "causal_cross")  # built where nobody says which
MAPS = ("query", "key", "value", "output")


class MixedAttention(nn.MultiheadAttention):
    """`nn.MultiheadAttention` whose heads are mixed by a mechanism; `replace_attention` makes them.

    A call without `attn_mask` is noncausal, one with the causal mask is causal. It is self attention if `key is query`
    or `self_attention` is True; otherwise it is cross attention, whose target may be causal, since `attn_mask` does not
    tell. Dropout of attention weights in training is an error: mechanisms have none.
    """

    mechanism: str
    self_attention: bool | None = None  # None: nobody has said, each call is looked at

    @property
    def _qkv_same_embed_dim(self) -> bool:
        """Always false, so that torch does not use its fused encoder layer, which would bypass `forward`."""
        return False

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """As `nn.MultiheadAttention`; a query that may see no key gets the output projection's bias instead of NaN.

        Args:
            query: `(b, n, w)`, or `(n, b, w)` without `batch_first`, or `(n, w)`.
            key: `(b, m, w)` and likewise; self attention is a call with `query is key`.
            value: `(b, m, w)` and likewise.
            key_padding_mask: `(b, m)`, torch's: True or −inf = drop. Default: None.
            need_weights: Return the weights too, at a cost of n × m of memory? Default: True, torch's.
            attn_mask: The causal mask, or None for noncausal attention. Default: None.
            average_attn_weights: Average the weights over the heads? Default: True.
            is_causal: As torch has it, a hint that `attn_mask` is causal. Default: False.

        Returns:
            The output, and the weights or None.

        Raises:
            ValueError: Masks other than padding and causal ones, weights of a mechanism that has none, nested tensors,
                dropout in training, a call that may be either self or cross attention where that matters.
            UnsupportedPattern: The mechanism does not have the pattern of the call.
        """
        if query.is_nested or key.is_nested or value.is_nested:
            raise ValueError(
                "nested tensors have no padding mask; call replace_attention on the whole nn.TransformerEncoder, so that it sends none"
            )
        if need_weights and not claimed(mechanism_class(self.mechanism), "weighted_mean"):
            raise ValueError(f"{self.mechanism!r} has no attention weights: call with need_weights=False")
        if self.dropout and self.training:
            raise ValueError(
                f"{self.mechanism!r} has no dropout of attention weights, and this module asks for {self.dropout:g} in training:"
                " set its `dropout` to 0"
            )
        to_itself, batched = (query is key) if self.self_attention is None else self.self_attention, query.ndim == 3
        query, key, value = (self._batch_first(x) for x in (query, key, value))  # b n ·
        if key_padding_mask is not None and not batched:
            key_padding_mask = key_padding_mask[None]
        key_mask = kept_keys(key_padding_mask, key.shape[0], key.shape[1])
        causal = is_causal_mask(attn_mask, query.shape[1], key.shape[1], hint=is_causal)
        if not (causal or to_itself) and self.self_attention is None and query.shape == key.shape:
            self._check_told(key_mask)
        mixer = self._mixer("causal_self" if causal else "noncausal_self" if to_itself else self._cross())

        heads = (F.linear(x, *maps) for x, maps in zip((query, key, value), self._maps(), strict=True))
        q, k, v = (rearrange(x, "b n (h d) -> b h n d", h=self.num_heads) for x in heads)
        also: dict[str, Any] = {}
        if mixer.needs_query_mask:
            also["query_mask"] = None if mixer.cross else key_mask
        if mixer.needs_input:
            also["x"] = query
        mixed = rearrange(mixer.mix(q, k, v, key_mask, **also), "b h n d -> b n (h d)")
        out: Tensor = self._like_input(self.out_proj(mixed), batched)
        if not need_weights:
            return out, None
        weights = weights_of(type(mixer), lambda q, k, v: type(mixer).mix(mixer, q, k, v, key_mask, **also), q, k)
        weights = weights.mean(1) if average_attn_weights else weights
        return out, weights if batched else weights[0]

    def _check_told(self, key_mask: Tensor | None) -> None:
        cls = mechanism_class(self.mechanism)
        if (key_mask is not None and cls.needs_query_mask) or self._cross() not in cls.patterns:
            raise ValueError(
                "query and key are different tensors of one shape: self attention, as in attn(norm(x), norm(x), …), or cross"
                f" attention? For {self.mechanism!r} they differ; say it to replace_attention: self_attention=True or False"
            )

    def _cross(self) -> Pattern:
        """The pattern of cross attention that was asked for, or else the one that is safe for a causal target."""
        return "noncausal_cross" if "noncausal_cross" in self._modules else "causal_cross"

    def _mixer(self, pattern: Pattern) -> Attention:
        if pattern not in self._modules:
            there = ", ".join(name for name in PATTERNS if name in self._modules)
            hint = ""
            if pattern == "causal_cross" and "noncausal_cross" in mechanism_class(self.mechanism).patterns:
                hint = (
                    ". It treats all target tokens together, so that later ones would change earlier ones; if the target is not"
                    " causal, say pattern='noncausal_cross', only=[…]"
                )
            raise UnsupportedPattern(
                f"this call asks {self.mechanism!r} for the pattern {pattern!r}; its replacement has {there}{hint}"
            )
        mixer = self._modules[pattern]
        assert isinstance(mixer, Attention)
        return mixer

    def _maps(self) -> list[tuple[Tensor, Tensor | None]]:
        """Weight and bias of the query, key and value maps."""
        biases = (None, None, None) if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
        joint: Tensor | None = self.in_proj_weight
        apart = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        return list(zip(apart if joint is None else joint.chunk(3), biases, strict=True))

    def _batch_first(self, x: Tensor) -> Tensor:
        if x.ndim not in (2, 3):
            raise ValueError(f"query, key and value must have 2 or 3 dimensions, got {tuple(x.shape)}")
        if x.ndim == 2:
            return x[None]
        return x if self.batch_first else x.transpose(0, 1)

    def _like_input(self, x: Tensor, batched: bool) -> Tensor:
        if not batched:
            return x[0]
        return x if self.batch_first else x.transpose(0, 1)


def kept_keys(mask: Tensor | None, batch: int, length: int) -> Tensor | None:
    """torch's key_padding_mask (True or −inf = drop) as a boolean mask (b, m), True = keep."""
    if mask is None:
        return None
    if mask.shape != (batch, length):
        raise ValueError(f"key_padding_mask must be (batch, keys) = ({batch}, {length}), got {tuple(mask.shape)}")
    return ~dropped(mask, "key_padding_mask")


def is_causal_mask(mask: Tensor | None, n: int, m: int, *, hint: bool) -> bool:
    """Is torch's attn_mask the causal one?

    False for no mask and for one that hides nothing; ValueError for any other mask.
    """
    if mask is None or hint:
        return hint
    hidden = dropped(mask, "attn_mask") if mask.ndim == 2 else None
    if hidden is not None and hidden.shape == (n, m):
        if not hidden.any():
            return False
        if torch.equal(hidden, torch.ones_like(hidden).triu(1)) and n == m:
            return True
    raise ValueError(
        f"attn_mask {tuple(mask.shape)} for n = {n} queries and m = {m} keys is not the causal mask; mechanisms take that one and key_padding_mask"
    )


def dropped(mask: Tensor, name: str) -> Tensor:
    """What a mask of torch drops, whether boolean (True = drop) or additive (0 or −inf)."""
    if mask.dtype == torch.bool:
        return mask
    if not mask.is_floating_point():
        raise TypeError(f"{name} must be boolean (True = drop) or floating point (−inf = drop), got {mask.dtype}")
    taken = mask <= torch.finfo(mask.dtype).min
    if not torch.compiler.is_compiling() and not bool((taken | (mask == 0)).all()):
        raise ValueError(f"{name} adds to the scores; mechanisms know only 0 (keep) and −inf (drop)")
    return taken


def replace_attention(
    model: nn.Module,
    mechanism: str,
    *,
    pattern: Pattern | None = None,
    only: str | Collection[str] | None = None,
    self_attention: bool | None = None,
    seed: int = 0,
    **options: Any,
) -> list[str]:
    """Let a mechanism mix the heads of every `nn.MultiheadAttention` inside a model.

    The existing weights are kept, as the same parameters. A second call replaces the first mechanism by another. After
    an error nothing is replaced.

    Args:
        model: The model, changed in place.
        mechanism: The registered name of a mechanism with all four projections.
        pattern: The one pattern to build, for a mechanism with parameters of its own, which are newly initialised.
            Default: None, the self patterns that the mechanism has and "causal_cross", among which each call's masks
            choose; "noncausal_cross" must be given explicitly, because no mask tells whether the target of cross
            attention is causal.
        only: The name of the module to replace, or several. Default: None, all.
        self_attention: Are all calls of these modules self attention, or none? Default: None, as `pattern` says;
            without a pattern, a call is self attention if its query and key are one tensor. Where that does not tell,
            and the answer matters, the call is an error.
        seed: Random draws depend on it and on the place in the list. Default: 0.
        options: The mechanism's own.

    Returns:
        The names of the replaced modules.

    Raises:
        UnknownMechanism: No mechanism has this name.
        UnsupportedPattern: The mechanism does not have `pattern`.
        ValueError: There is no such attention, one of them cannot be replaced, or the mechanism lacks a projection that
            has trained weights or needs `pattern`.
        TypeError: The model is no module, the mechanism does not take an option, or another argument is of the wrong type.
    """
    check_module(model)
    check_seed(seed)
    if self_attention is not None:
        check_flag(self_attention, "self_attention")
    attentions = {name: child for name, child in model.named_modules() if isinstance(child, nn.MultiheadAttention)}
    if not attentions:
        raise ValueError(f"{type(model).__name__} holds no torch.nn.MultiheadAttention to replace")
    if only is not None:
        only = [only] if isinstance(only, str) else only
        if not isinstance(only, Collection) or not all(isinstance(name, str) for name in only):
            raise TypeError(f"only must be the names of modules, got {only!r}")
        if unknown := sorted(set(only) - set(attentions)):
            raise ValueError(
                f"no nn.MultiheadAttention is named {', '.join(unknown)}; there are {', '.join(attentions)}"
            )
        if not only:
            raise ValueError(f"only= names no module; there are {', '.join(attentions)}")
        attentions = {name: child for name, child in attentions.items() if name in only}
    patterns = wanted_patterns(mechanism, pattern)
    if self_attention is None and pattern is not None:
        self_attention = not is_cross(pattern)
    put(model, {name: (child, patterns) for name, child in attentions.items()}, mechanism, pattern, seed, options)
    for child in attentions.values():
        child.self_attention = self_attention  # type: ignore[assignment]
    return list(attentions)


Places = Mapping[str, tuple[nn.MultiheadAttention, list[Pattern]]]


def put(
    model: nn.Module, places: Places, mechanism: str, pattern: Pattern | None, seed: int, options: dict[str, Any]
) -> None:
    """Put a mechanism in place of attentions, each with its patterns; after an error nothing is replaced."""
    for name, (child, _) in places.items():
        check_replaceable(name, child)
    mixers = [
        mixers_of(mechanism, patterns, child, seed * 10_007 + place, options)
        for place, (child, patterns) in enumerate(places.values())
    ]
    if pattern is None and any(list(mixer.parameters()) for mixer in mixers[0].values()):
        first = next(iter(places.values()))[1][0]
        raise ValueError(f"{mechanism!r} has parameters of its own, for one pattern: say pattern={first!r}")
    for (child, _), by_pattern in zip(places.values(), mixers, strict=True):
        child.__class__ = MixedAttention
        child.mechanism = mechanism  # type: ignore[assignment]
        for old in PATTERNS:
            child._modules.pop(old, None)
        for one, mixer in by_pattern.items():
            child.add_module(one, mixer)
    for parent in model.modules():
        if isinstance(parent, nn.TransformerEncoder):
            parent.use_nested_tensor = False


def put_back(child: nn.MultiheadAttention) -> None:
    """torch's own attention again, with the existing parameters."""
    child.__class__ = nn.MultiheadAttention
    for name in ("mechanism", "self_attention"):
        vars(child).pop(name, None)
    for old in PATTERNS:
        child._modules.pop(old, None)


def check_replaceable(name: str, attention: nn.MultiheadAttention) -> None:
    """Raises ValueError for what no mechanism can do."""
    where = f"{name or 'the model itself'} ({type(attention).__name__})"
    if type(attention) not in (nn.MultiheadAttention, MixedAttention):
        raise ValueError(f"{where} is a subclass of nn.MultiheadAttention, whose own forward would be lost")
    if attention.bias_k is not None or attention.add_zero_attn:
        raise ValueError(f"{where} adds keys of its own (add_bias_kv or add_zero_attn), which no mechanism supports")


def wanted_patterns(mechanism: str, pattern: Pattern | None) -> list[Pattern]:
    """The patterns to build.

    Raises `UnknownMechanism`, `UnsupportedPattern`, or ValueError for a mechanism without all four projections.
    """
    cls = mechanism_class(mechanism)
    if lost := [name for name in MAPS if name not in cls.maps]:
        raise ValueError(f"{mechanism!r} has no {' and no '.join(lost)} map: trained weights would be lost")
    if pattern is None:
        return [one for one in UNASKED if one in cls.patterns]
    if pattern not in cls.patterns or pattern not in PATTERNS:
        raise UnsupportedPattern(
            f"{mechanism!r} cannot be put in place with the pattern {pattern!r}; it has {', '.join(cls.patterns)}"
        )
    return [pattern]


def mixers_of(
    mechanism: str, patterns: list[Pattern], attention: nn.MultiheadAttention, seed: int, options: dict[str, Any]
) -> dict[Pattern, Attention]:
    """A layer of the mechanism for each pattern that its options allow, with the same draws for each.

    They come without their four projections, on the attention's device.
    """
    mixers: dict[Pattern, Attention] = {}
    for pattern in patterns:
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            try:
                sizes = {"width": attention.embed_dim, "heads": attention.num_heads}
                mixer = build(mechanism, pattern=pattern, **sizes, **options)
            except ValueError:
                if mixers:  # these options go with another pattern alone
                    continue
                raise
        for name in MAPS:
            delattr(mixer, name)
        mixer.train(attention.training).to(attention.out_proj.weight.device)
        mixers[pattern] = mixer
    return mixers

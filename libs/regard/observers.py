"""Look at what attention does inside a model, without changing its `forward`, its result or its code.

    with regard.observe(model, seen.append):
        model(x)
    seen[0].name, seen[0].probabilities                     # 'encoder.0.attention', (b, h, n, m)

Every call of `mix` of a Regard layer inside the model hands an `Observation` to the callback, in the order of the calls; so does every call of
an attention that `replace_attention` or `regard.adapters.huggingface` put in place. Weights and clusters are computed when they are read.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from regard.layer import Attention

WEIGHTED_MEANS = ("efficient", "local", "optimised", "smyrf", "softmax", "super")
HUGGINGFACE = "regard-"  # how the attention implementations of `regard.adapters.huggingface` begin


class Assignment(NamedTuple):
    """The clusters of SMYRF: `queries` (r, b, h, n) and `keys` (r, b, h, m) hold each token's cluster, −1 for a masked token.

    There are `number` clusters a round. A key that neighbouring clusters share (fewer keys than clusters) bears the first one's number.
    """

    queries: Tensor
    keys: Tensor
    number: int


@dataclass(frozen=True)
class Observation:
    """One call: q (b, h, n, d), k (b, h, m, d), v (b, h, m, e), masks (b, m) and (b, n) or None, output (b, h, n, e), as the mechanism had them.

    `name` is the module's in the observed one, '' for itself. The tensors are still part of the graph. What is read later is computed
    later: with the weights and buffers that the layer then has.
    """

    name: str
    mechanism: str
    q: Tensor
    k: Tensor
    v: Tensor
    key_mask: Tensor | None
    query_mask: Tensor | None
    output: Tensor
    mixed: Callable[[Tensor, Tensor, Tensor], Tensor] = field(repr=False)
    options: Mapping[str, Any] = field(repr=False, default_factory=dict)
    layer: nn.Module | None = field(repr=False, default=None)

    @functools.cached_property
    def values(self) -> Tensor:
        """The values that the probabilities weigh, (b, h, m, e): v, which Super attention has mixed along the tokens before."""
        if self.mechanism != "super":
            return self.v
        from regard.mechanisms.super import SuperAttention, super_values

        assert isinstance(self.layer, SuperAttention)
        mixing = self.layer.mixing
        return super_values(
            self.v, weight=mixing.weight, bias=mixing.bias, causal=self.layer.causal, key_mask=self.key_mask
        )

    @functools.cached_property
    def probabilities(self) -> Tensor:
        """The weights (b, h, n, m) with `probabilities @ values = output`; rows sum to 1, or to 0 where a query sees no key.

        Time and memory O(n m), also for a mechanism that needs less. Raises ValueError for one whose output is no weighted mean of values.
        """
        return weights_of(self.mechanism, self.mixed, self.q, self.k)

    @functools.cached_property
    def clusters(self) -> Assignment:
        """Which queries met which keys, round by round. SMYRF only: ValueError for other mechanisms."""
        if self.mechanism != "smyrf":
            raise ValueError(f"only smyrf has clusters, this is an observation of {self.mechanism!r}")
        return assignment(self.q, self.k, self.query_mask, self.key_mask, **self.options)


def weights_of(mechanism: str, mix: Callable[[Tensor, Tensor, Tensor], Tensor], q: Tensor, k: Tensor) -> Tensor:
    """The matrix (b, h, n, m) that `mix(q, k, v)` multiplies the values by: its output for values that are the identity."""
    if mechanism not in WEIGHTED_MEANS:
        raise ValueError(
            f"the output of {mechanism!r} is not a weighted mean of its values; those with weights are {', '.join(WEIGHTED_MEANS)}"
        )
    m = k.shape[2]
    return mix(q, k, torch.eye(m, dtype=q.dtype, device=q.device).expand(*k.shape[:2], m, m))


@torch.no_grad()
def assignment(
    q: Tensor,
    k: Tensor,
    query_mask: Tensor | None,
    key_mask: Tensor | None,
    *,
    directions: Tensor,
    cluster_size: int,
    key_cluster_size: int | None = None,
) -> Assignment:
    """The clusters of SMYRF attention for q (b, h, n, d) and k (b, h, m, d)."""
    from regard.clusters import cluster_sizes, cut
    from regard.mechanisms.smyrf import sorted_tokens
    from regard.patterns import zero_masked

    C, K = cluster_sizes(q.shape[2], k.shape[2], cluster_size, key_cluster_size)
    orders = sorted_tokens(zero_masked(q, query_mask), zero_masked(k, key_mask), directions, query_mask, key_mask)
    clusters = cut(*orders, C, K, query_mask, key_mask)
    queries = clusters.place // C
    number = torch.arange(clusters.number, device=q.device).repeat_interleave(K)  # of each place for a key
    owner = clusters.key_token
    if clusters.key_filled is not None:
        owner = owner.masked_fill(~clusters.key_filled[:, None], k.shape[2])  # empty places: a key past the last
    keys = torch.full((*owner.shape[:3], k.shape[2] + 1), clusters.number, device=q.device)
    keys = keys.scatter_reduce(3, owner, number.expand_as(owner), "amin")[..., :-1]
    if query_mask is not None:
        queries = queries.masked_fill(~query_mask[:, None], -1)
    if key_mask is not None:
        keys = keys.masked_fill(~key_mask[:, None], -1)
    return Assignment(queries, keys, clusters.number)


class Observer:
    """What `observe` returns: watches from its construction to `remove()`, or to the end of a `with` block."""

    def __init__(self, module: nn.Module, callback: Callable[[Observation], Any]) -> None:
        self.callback = callback
        self._watched: list[nn.Module] = []
        named = list(module.named_modules())
        if not any(isinstance(child, Attention) or is_adapted(child) for _, child in named):
            raise ValueError(
                f"{type(module).__name__} holds no attention of Regard: no layer of regard.build or replace_attention, and no model"
                f" whose attention implementation begins with {HUGGINGFACE!r}"
            )
        for name, child in named:
            _watchers.setdefault(child, {})[self] = name
            self._watched.append(child)
            if isinstance(child, Attention):
                child.__dict__["mix"] = functools.partial(_mix_and_report, child)

    def remove(self) -> None:
        """Stop watching. A second call does nothing."""
        for child in self._watched:
            watchers = _watchers[child]
            del watchers[self]
            if not watchers:
                del _watchers[child]
                child.__dict__.pop("mix", None)
        self._watched = []

    def __enter__(self) -> "Observer":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


_watchers: WeakKeyDictionary[nn.Module, dict[Observer, str]] = WeakKeyDictionary()


def observe(module: nn.Module, callback: Callable[[Observation], Any]) -> Observer:
    """Hand an `Observation` of each attention call inside `module` to `callback`, until the returned observer is removed.

    Use it in a `with` block, or call its `remove()`. Observers may be nested and removed in any order; an error in the callback is the
    caller's. Steps of `Attention.step` are not observed. Observe a module before `torch.compile`, not after. Raises ValueError if `module` holds
    no attention of Regard.
    """
    return Observer(module, callback)


def report(module: nn.Module, **observed: Any) -> None:
    """Tell those who watch `module`, if any, of one call; `observed` are the fields of `Observation` but `name`."""
    if not (watchers := _watchers.get(module)):
        return
    observation = Observation(name="", **observed)
    for observer, name in list(watchers.items()):
        observer.callback(replace(observation, name=name))


def is_adapted(module: nn.Module) -> bool:
    """Is this part of a Hugging Face model that runs an attention of Regard?"""
    chosen = getattr(getattr(module, "config", None), "_attn_implementation", None)
    return isinstance(chosen, str) and chosen.startswith(HUGGINGFACE)


def _mix_and_report(layer: Attention, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, **also: Any) -> Tensor:
    """Stands before `layer.mix` while it is watched."""
    output = type(layer).mix(layer, q, k, v, key_mask, **also)

    def mixed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if layer.name == "super":  # its mix would mix these values too
            from regard.mechanisms.softmax import softmax

            return softmax(q, k, v, causal=layer.causal, key_mask=key_mask)
        return type(layer).mix(layer, q, k, v, key_mask, **also)

    report(
        layer,
        mechanism=layer.name,
        q=q,
        k=k,
        v=v,
        key_mask=key_mask,
        query_mask=also.get("query_mask"),
        output=output,
        mixed=mixed,
        options={"directions": layer.get_buffer("directions"), **vars(layer)["sizes"]} if layer.name == "smyrf" else {},
        layer=layer,
    )
    return output

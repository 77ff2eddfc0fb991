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

from regard.attention import Attention

WEIGHTED_MEANS = ("efficient", "local", "optimised", "smyrf", "softmax", "super")
REDRAWN = (
    "this layer draws its directions anew at every call in training and does not keep them: observe it in evaluation"
)
HUGGINGFACE = "regard-"  # how the attention implementations of `regard.adapters.huggingface` begin


class Assignment(NamedTuple):
    """The clusters of SMYRF in each round: of `queries` (r, b, h, n) and `keys` (r, b, h, m), −1 for a token in none (a masked one).

    Queries that meet the same keys are in one cluster; clusters are numbered from 0 by their first key, in each round, row and head anew.
    """

    queries: Tensor
    keys: Tensor


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
    def met(self) -> Tensor:
        """Which queries see which keys, round by round: boolean (r, b, h, n, m). SMYRF only: ValueError for other mechanisms."""
        if self.mechanism != "smyrf":
            raise ValueError(f"only smyrf has clusters, this is an observation of {self.mechanism!r}")
        return meetings(self.q, self.k, self.query_mask, self.key_mask, **self.options)

    @functools.cached_property
    def clusters(self) -> Assignment:
        """The cluster of each query and key. SMYRF that is not causal only, because causal clusters overlap: see `met` for those."""
        if self.options.get("causal"):
            raise ValueError("the clusters of causal smyrf overlap; Observation.met tells which keys each query sees")
        return assignment(self.met)


def weights_of(mechanism: str, mix: Callable[[Tensor, Tensor, Tensor], Tensor], q: Tensor, k: Tensor) -> Tensor:
    """The matrix (b, h, n, m) that `mix(q, k, v)` multiplies the values by: its output for values that are the identity."""
    if mechanism not in WEIGHTED_MEANS:
        raise ValueError(
            f"the output of {mechanism!r} is not a weighted mean of its values; those with weights are {', '.join(WEIGHTED_MEANS)}"
        )
    return mix(q, k, identity(k))


@torch.no_grad()
def meetings(
    q: Tensor,
    k: Tensor,
    query_mask: Tensor | None,
    key_mask: Tensor | None,
    *,
    directions: Tensor | None,
    rounds: int,
    **sizes: Any,
) -> Tensor:
    """Which queries of SMYRF attention, q (b, h, n, d), see which keys, k (b, h, m, d), in each round: (r, b, h, n, m)."""
    from regard.mechanisms.smyrf import smyrf

    if directions is None:
        raise ValueError(REDRAWN)
    given: dict[str, Any] = {"query_mask": query_mask, "key_mask": key_mask, **sizes}
    # With a scale of 0 the weights of the keys that are met are all the same, however far apart the scores.
    met = [
        smyrf(q, k, identity(k), rounds=1, directions=drawn, scale=0.0, **given) > 0
        for drawn in torch.split(directions, directions.shape[-1] // rounds, -1)
    ]
    return torch.stack(met)


def assignment(met: Tensor) -> Assignment:
    """The clusters in which queries meet keys, `met` (r, b, h, n, m)."""
    m = met.shape[-1]
    first = met.int().argmax(-1).masked_fill(~met.any(-1), m)  # r b h n: the first key of each query's cluster
    begins = torch.zeros(*first.shape[:3], m + 1, dtype=torch.long, device=met.device).scatter(3, first, 1)
    number = begins[..., :m].cumsum(-1) - 1  # of the cluster that begins at a key
    number = torch.cat([number, torch.full_like(number[..., :1], -1)], -1)
    first_of_key = torch.where(met, first[..., None], m).amin(-2)
    return Assignment(number.gather(3, first), number.gather(3, first_of_key))


def identity(k: Tensor) -> Tensor:
    """Values (b, h, m, m) that turn an output into the weights that made it."""
    m = k.shape[2]
    return torch.eye(m, dtype=k.dtype, device=k.device).expand(*k.shape[:2], m, m)


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

    redrawn = layer.training and getattr(layer, "redraw", False)

    def mixed(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if redrawn:
            raise ValueError(REDRAWN)
        if layer.name == "super":  # its mix would mix these values too
            from regard.mechanisms.softmax import softmax

            return softmax(q, k, v, causal=layer.causal, key_mask=key_mask)
        return type(layer).mix(layer, q, k, v, key_mask, **also)

    options: dict[str, Any] = {}
    if layer.name == "smyrf":
        directions = None if redrawn else layer.get_buffer("directions")
        options = {"directions": directions, "rounds": vars(layer)["rounds"], **vars(layer)["sizes"]}
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
        options=options,
        layer=layer,
    )
    return output

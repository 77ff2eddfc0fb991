"""Observe what attention does inside a model, without changing its `forward`, its result or its code.

    with regard.observe(model, seen.append):
        model(x)
    seen[0].name, seen[0].probabilities                     # 'encoder.0.attention', (b, h, n, m)

Every call of `mix` of a Regard layer inside the model hands an `Observation` to the callback, in the order of the
calls; so does every call of an attention that `replace_attention` or `regard.adapters.huggingface` put in place.
Weights and clusters are computed only when they are read.
"""

import functools
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from regard.attention import Attention, claimed, identity_values
from regard.registry import list_mechanisms, mechanism_class

REDRAWN = "this layer draws anew at every call in training and does not keep what it draws: observe it in evaluation"
SAW_NOTHING = (
    "{} ran, but no attention of Regard did: its attention is code of its own that does not ask for one, or none was"
    " reached (regard.swap tells which attentions a model has)"
)
HUGGINGFACE = "regard-"  # how the attention implementations of `regard.adapters.huggingface` begin


class Assignment(NamedTuple):
    """The clusters of each round: of `queries` `(r, b, h, n)` and of `keys` `(r, b, h, m)`.

    −1 is a token in none (a masked one).

    Queries that meet the same keys are in one cluster. Clusters are numbered from 0 by their first key, separately in
    each round, row and head.
    """

    queries: Tensor
    keys: Tensor


@dataclass(frozen=True)
class Observation:
    """One call of an attention, with its tensors as the mechanism had them; they are still part of the graph.

    A property that is read later is computed later, with the weights and buffers that the layer has at that time.

    Args:
        name: The module's name inside the observed one; '' for itself.
        mechanism: The mechanism's name.
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`.
        v: Values `(b, h, m, e)`.
        key_mask: `(b, m)`, True = keep, or None.
        query_mask: `(b, n)`, True = keep, or None.
        output: `(b, h, n, e)`.
        mixed: The call again with other q, k and (attended) values.
        attention: The mechanism's class.
        options: What the mechanism shows of its options: SMYRF's rounds, sizes and directions. Default: nothing.
        layer: The layer, if it is one of Regard. Default: None.
        draws_each_call: Does the layer draw new random numbers at every call, so that this one cannot be repeated?
            Default: False.
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
    attention: type[Attention] = field(repr=False)
    options: Mapping[str, Any] = field(repr=False, default_factory=dict)
    layer: Attention | None = field(repr=False, default=None)
    draws_each_call: bool = field(repr=False, default=False)

    @functools.cached_property
    def values(self) -> Tensor:
        """The values `(b, h, m, e)` that the probabilities weigh.

        That is v, which in Super attention has already been mixed along the tokens.
        """
        return self.v if self.layer is None else self.layer.attended_values(self.v, self.key_mask)

    @functools.cached_property
    def probabilities(self) -> Tensor:
        """The weights `(b, h, n, m)` with `probabilities @ values = output`.

        Rows sum to 1, or to 0 where a query sees no key.

        Time and memory O(n m), even for a mechanism that needs less. Raises ValueError for a mechanism whose output is
        not a weighted mean of values, and for a layer that draws new random numbers at every call.
        """
        return weights_of(self.attention, self._repeated, self.q, self.k)

    @functools.cached_property
    def collisions(self) -> Tensor:
        """Which queries meet which keys, round by round: boolean `(r, b, h, n, m)`.

        ValueError for mechanisms without clusters.
        """
        if self.attention.collisions.__func__ is Attention.collisions.__func__:  # type: ignore[attr-defined]
            raise ValueError(f"{self.mechanism!r} has no clusters")
        self._check_repeatable()
        met = self.attention.collisions(self.q, self.k, self.query_mask, self.key_mask, **self.options)
        assert met is not None
        return met

    @functools.cached_property
    def clusters(self) -> Assignment:
        """The cluster of each query and key.

        ValueError for mechanisms without clusters, and for causal ones, whose clusters overlap.
        """
        if self.options.get("causal"):
            raise ValueError(
                f"the clusters of causal {self.mechanism} overlap; Observation.collisions tells which keys each query meets"
            )
        return assignment(self.collisions)

    def _repeated(self, q: Tensor, k: Tensor, values: Tensor) -> Tensor:
        self._check_repeatable()
        return self.mixed(q, k, values)

    def _check_repeatable(self) -> None:
        if self.draws_each_call:
            raise ValueError(REDRAWN)


def weights_of(
    attention: type[Attention], mix: Callable[[Tensor, Tensor, Tensor], Tensor], q: Tensor, k: Tensor
) -> Tensor:
    """The matrix `(b, h, n, m)` that `mix(q, k, values)` multiplies the values by.

    It is the output for values that are the identity.

    Args:
        attention: The mechanism's class.
        mix: The mechanism, of q, k and values.
        q: Queries `(b, h, n, d)`.
        k: Keys `(b, h, m, d)`.

    Returns:
        The weights.

    Raises:
        ValueError: The class is not a `weighted_mean`.
    """
    if not claimed(attention, "weighted_mean"):
        those = ", ".join(name for name in list_mechanisms() if claimed(mechanism_class(name), "weighted_mean"))
        raise ValueError(
            f"the output of {attention.name!r} is not a weighted mean of its values; those with weights are {those}"
        )
    return mix(q, k, identity_values(k))


def assignment(met: Tensor) -> Assignment:
    """The clusters in which queries meet keys, `met` `(r, b, h, n, m)`."""
    m = met.shape[-1]
    first = met.int().argmax(-1).masked_fill(~met.any(-1), m)  # r b h n: the first key of each query's cluster
    begins = torch.zeros(*first.shape[:3], m + 1, dtype=torch.long, device=met.device).scatter(3, first, 1)
    number = begins[..., :m].cumsum(-1) - 1  # of the cluster that begins at a key
    number = torch.cat([number, torch.full_like(number[..., :1], -1)], -1)
    first_of_key = torch.where(met, first[..., None], m).amin(-2)
    return Assignment(number.gather(3, first), number.gather(3, first_of_key))


class Observer:
    """What `observe` returns: watches from its construction to `remove()`, or to the end of a `with` block."""

    def __init__(self, module: nn.Module, callback: Callable[[Observation], Any]) -> None:
        self.callback = callback
        self._watched: list[nn.Module] = []
        self._seen, self._ran, self._root = 0, 0, type(module).__name__
        named = list(module.named_modules())
        if not any(isinstance(child, Attention) or is_adapted(child) for _, child in named):
            raise ValueError(
                f"{type(module).__name__} holds no attention of Regard: no layer of regard.build, swap or replace_attention, and no model"
                f" whose attention implementation begins with {HUGGINGFACE!r}"
            )
        for name, child in named:
            _watchers.setdefault(child, {})[self] = name
            self._watched.append(child)
            if isinstance(child, Attention):
                child.__dict__["mix"] = functools.partial(_mix_and_report, child)
        self._hook: Any = module.register_forward_hook(self._count)

    def _count(self, *call: Any) -> None:
        self._ran += not _muted

    def remove(self) -> None:
        """Stop watching. A second call does nothing."""
        for child in self._watched:
            watchers = _watchers[child]
            del watchers[self]
            if not watchers:
                del _watchers[child]
                child.__dict__.pop("mix", None)
        self._watched = []
        self._hook.remove()

    def __enter__(self) -> "Observer":
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()
        if self._ran and not self._seen and error[0] is None:
            warnings.warn(SAW_NOTHING.format(self._root), stacklevel=2)


@contextmanager
def muted() -> Iterator[None]:
    """Within the block no observer is told anything; used for calls that are not part of the user's run."""
    global _muted
    before, _muted = _muted, True
    try:
        yield
    finally:
        _muted = before


_muted = False
_watchers: WeakKeyDictionary[nn.Module, dict[Observer, str]] = WeakKeyDictionary()


def observe(module: nn.Module, callback: Callable[[Observation], Any]) -> Observer:
    """Hand an `Observation` of each attention call inside a module to a callback, until the observer is removed.

    Use it in a `with` block, or call its `remove()`. Observers may be nested and removed in any order; an error in the
    callback is the caller's. Steps of `Attention.step` are not observed. Observe a module before `torch.compile`, not
    after. A `with` block in which the module ran and no attention was seen warns.

    Args:
        module: A layer of `regard.build`, or any model that holds one, or whose attention `replace_attention` or
            `regard.adapters.huggingface` put in place.
        callback: Called with each `Observation`, in the order of the calls; what it returns is dropped.

    Returns:
        The observer, which is a context manager.

    Raises:
        ValueError: `module` holds no attention of Regard.
    """
    return Observer(module, callback)


def report(module: nn.Module, **observed: Any) -> None:
    """Tell the observers of `module`, if any, about one call; `observed` has the fields of `Observation` but `name`."""
    if _muted or not (watchers := _watchers.get(module)):
        return
    observation = Observation(name="", **observed)
    for observer, name in list(watchers.items()):
        observer._seen += 1
        observer.callback(replace(observation, name=name))


def is_adapted(module: nn.Module) -> bool:
    """Is this an attention that `regard.swap` has changed, or part of a Hugging Face model that runs one of Regard?"""
    if vars(module).get("regard_swap") is not None:
        return True
    chosen = getattr(getattr(module, "config", None), "_attn_implementation", None)
    return isinstance(chosen, str) and chosen.startswith(HUGGINGFACE)


def _mix_and_report(layer: Attention, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None, **also: Any) -> Tensor:
    """Replaces `layer.mix` while the layer is observed."""
    output = type(layer).mix(layer, q, k, v, key_mask, **also)

    def mixed(q: Tensor, k: Tensor, values: Tensor) -> Tensor:
        return layer.mix_attended(q, k, values, key_mask, **also)

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
        attention=type(layer),
        options=layer.observed_options(),
        layer=layer,
        draws_each_call=layer.draws_each_call,
    )
    return output

"""Regard's mechanisms as attention implementations of Hugging Face transformers.

No code of the model changes, no weight is retrained:

    huggingface.register()
    model.set_attn_implementation("regard-smyrf")                       # back: "sdpa"
    huggingface.configure(model, rounds=2, cluster_size=32)             # and, for single layers, layers=[6, 7]

The mechanisms are those whose class has `function_options`: they add no parameters. Each gets an attention function and
a mask function: the model is asked for padding and causality alone, as a boolean (b, m) mask and the module's
`is_causal`; sliding windows, packed sequences, position biases, and a causal model under a mechanism without a causal
form are errors. Dropout of attention weights is left out, in training too, and LARA has no noise.
"""

import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.attention import Attention, Call, claimed
from regard.common.patterns import Pattern
from regard.observers import HUGGINGFACE, report
from regard.registry import UnsupportedPattern, list_mechanisms, mechanism_class

SETTINGS = "regard_attention"  # the attribute of a model's config that holds the options, and is saved with it
REFUSED = {
    "position_bias": "a position bias",
    "softcap": "capped scores",
    "s_aux": "attention sinks",
    "sinks": "attention sinks",
    "sliding_window": "a sliding window",
    "cu_seq_lens_q": "packed sequences",
    "cache": "a paged cache",
    "indices": "sparse indices",
    "block_indices": "sparse indices",
}
DROPOUT = "attention dropout of {:g} is left out: Regard's mechanisms have none; set the config's attention dropout to 0 to say so"


def available() -> list[str]:
    """The names of the mechanisms that models can run: those whose class has `function_options`."""
    return [name for name in list_mechanisms() if claimed(mechanism_class(name), "function_options") is not None]


def register() -> list[str]:
    """Register every mechanism without parameters as an attention implementation. A second call changes nothing.

    Returns:
        The names of the implementations, `regard-<name>`.

    Raises:
        ImportError: There is no transformers; the message says what to install.
    """
    try:
        from transformers import AttentionInterface, AttentionMaskInterface
    except ImportError as error:
        raise ImportError(
            "regard.adapters.huggingface needs transformers: pip install 'regard[huggingface]'"
        ) from error
    names = [HUGGINGFACE + mechanism for mechanism in available()]
    for name in names:
        AttentionInterface.register(name, attention)
        AttentionMaskInterface.register(name, padding_mask)
    return names


def configure(
    model: nn.Module,
    *,
    mechanism: str | None = None,
    layers: Collection[int] | None = None,
    seed: int | None = None,
    **options: Any,
) -> None:
    """Set a mechanism's options for all layers of a model, or mechanism and options for single layers.

    All of this is written into the model's config as `regard_attention` and is saved and loaded with it; the choice of
    the implementation is not (transformers never saves it). Models whose attention does not know its number (ViT) are
    numbered here: see `number_layers`.

    Args:
        model: A model of transformers.
        mechanism: Whose options these are. Default: None, the mechanism that the model runs.
        layers: The numbers of the layers that run `mechanism` with these options. Default: None, all that run it.
        seed: Seed of what is drawn, together with the layer's number and the head width. Default: None, as it was (0 at
            first). `seed` without options leaves those of all layers as they were.
        options: The mechanism's options; those not given return to their defaults, `function_options` of its class.

    Raises:
        ValueError: The model has no attention of transformers or not these layers; the mechanism is unknown or does not
            have these options, or they cannot be. Nothing is changed then.
        TypeError: An option of the wrong type.
    """
    modules = list(attention_modules(model))
    if not modules:
        raise ValueError(f"{type(model).__name__} holds no attention of transformers")
    mechanism = mechanism or running(modules[0])
    if mechanism not in available():
        raise ValueError(
            f"there is no attention implementation {HUGGINGFACE + str(mechanism)!r}: set one of {', '.join(available())} first, or say mechanism="
        )
    check_options(mechanism, options)
    numbers = layer_numbers(modules)
    if unknown := sorted(set(layers or ()) - set(numbers)):
        raise ValueError(f"there is no layer {', '.join(map(str, unknown))}; the model has 0 … {max(numbers)}")
    number_layers(model)
    for config in {id(module.config): module.config for module in modules}.values():
        old: dict[str, Any] = getattr(config, SETTINGS, {})
        new = {"seed": 0, "options": {}, "layers": {}, **old}
        if seed is not None:
            new["seed"] = seed
        if layers is not None:
            chosen = {str(number): {"mechanism": mechanism, **options} for number in layers}
            new["layers"] = {**new["layers"], **chosen}
        elif options or seed is None:
            new["options"] = {**new["options"], mechanism: dict(options)}
        setattr(config, SETTINGS, new)


def number_layers(model: nn.Module) -> None:
    """Give every attention of a model its number, in order, where the model itself does not (ViT, DINOv2).

    `configure` does this; call it after loading such a model with options for single layers.

    Args:
        model: A model of transformers.
    """
    modules = list(attention_modules(model))
    for module, number in zip(modules, layer_numbers(modules), strict=True):
        module.regard_layer = number


def attention_modules(model: nn.Module) -> Iterator[Any]:
    """The modules that hand themselves to an attention function.

    They are those that say whether they are causal and carry the config.
    """
    for module in model.modules():
        if hasattr(module, "is_causal") and hasattr(getattr(module, "config", None), "_attn_implementation"):
            yield module


def running(module: Any) -> str | None:
    """The mechanism that the model of this attention module runs, if it is one of Regard's."""
    implementation = module.config._attn_implementation or ""
    return implementation.removeprefix(HUGGINGFACE) if implementation.startswith(HUGGINGFACE) else None


def own_number(module: Any) -> int | None:
    """The layer's number that the model itself gives its attention."""
    number = getattr(module, "layer_idx", None)
    return number if isinstance(number, int) else None


def layer_numbers(modules: Sequence[Any]) -> list[int]:
    """The number of each attention: the model's own, or its place among them."""
    return [number if (number := own_number(module)) is not None else place for place, module in enumerate(modules)]


def check_options(mechanism: str, options: dict[str, Any]) -> None:
    """Raises ValueError or TypeError for options that the mechanism does not have or cannot take."""
    cls, defaults = function_class(mechanism)
    if unknown := sorted(set(options) - set(defaults)):
        raise ValueError(f"{mechanism!r} has no option {', '.join(unknown)}; it has {', '.join(defaults) or 'none'}")
    one = torch.zeros(1, 1, 1, 2)
    cls.attend(one, one, one, Call(options={**defaults, **options}))


def function_class(mechanism: str) -> tuple[type[Attention], dict[str, Any]]:
    """The class of a mechanism that models can run, and its options' defaults."""
    cls = mechanism_class(mechanism)
    return cls, dict(claimed(cls, "function_options") or {})


def settings(module: Any) -> tuple[str, Call]:
    """The mechanism that an attention module is to run, and its options and seed."""
    mechanism = running(module)
    if mechanism is None:
        raise ValueError(
            f"{type(module).__name__} runs {module.config._attn_implementation!r}, not one of {HUGGINGFACE}…"
        )
    stored: dict[str, Any] = getattr(module.config, SETTINGS, {})
    number = own_number(module)
    given = stored.get("options", {}).get(mechanism, {})
    if single := stored.get("layers"):
        place = getattr(module, "regard_layer", number)
        if place is None:
            raise ValueError(
                f"the layers of {type(module).__name__} have no numbers, and the config has options for single ones:"
                " call regard.adapters.huggingface.number_layers(model) once after loading"
            )
        if str(place) in single:
            given = dict(single[str(place)])
            mechanism = str(given.pop("mechanism"))
    seed = stored.get("seed", 0) * 10_007 + (number or 0)
    return mechanism, Call(options={**function_class(mechanism)[1], **given}, seed=seed)


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """The attention function of transformers. Causal queries are the last n of the m tokens, as with a cache.

    Args:
        module: The attention module, which carries the config.
        query: `(b, h, n, d)`.
        key: `(b, g, m, d)` with h a multiple of g.
        value: `(b, g, m, d)`.
        attention_mask: What `padding_mask` or the model has made: `(b, m)`, or four-dimensional with padding and
            causality alone; or None.
        scaling: Factor of q · k. Default: None, d ** -0.5.
        dropout: Left out, with a warning unless 0. Default: 0.
        is_causal: Is the call causal? Default: None, what the module says.
        others: What else transformers passes; extras that no mechanism has are errors.

    Returns:
        The output `(b, n, h, d)`, and None for the weights.

    Raises:
        ValueError: Masks and extras that no mechanism takes, a cache that the mechanism cannot continue from.
        UnsupportedPattern: The mechanism does not have the pattern of the call.
    """
    for name, what in REFUSED.items():
        if others.get(name) is not None:
            raise ValueError(f"{type(module).__name__} wants {what} ({name}=), which Regard's mechanisms do not have")
    if others.get("output_attentions"):
        raise ValueError("attention weights are not returned; regard.observe(model, callback) hands them out")
    if dropout:
        warnings.warn(DROPOUT.format(dropout), stacklevel=2)
    mechanism, call = settings(module)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    n, m = query.shape[2], key.shape[2]
    causal = is_causal_module(module, is_causal)
    across = not causal and (n != m or crosses(module))
    cls = mechanism_class(mechanism)
    pattern: Pattern = "causal_self" if causal else "noncausal_cross" if across else "noncausal_self"
    if pattern not in cls.patterns:
        raise UnsupportedPattern(
            f"{type(module).__name__} asks {mechanism!r} for the pattern {pattern!r}; it has {', '.join(cls.patterns)}"
        )
    key_mask = key_mask_of(attention_mask, key.shape[0], n, m, causal)
    masks: dict[str, Any] = {"key_mask": key_mask, "query_mask": None if across else key_mask}
    call = replace(call, causal=causal, scale=query.shape[3] ** -0.5 if scaling is None else scaling, **masks)

    if causal and n != m and not claimed(cls, "stepwise"):
        raise ValueError(
            f"{mechanism!r} cannot continue from a cache ({n} new of {m} tokens): its outputs depend on earlier queries; use use_cache=False"
        )

    def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if not causal or n == m:
            return cls.attend(q, k, v, call)
        return cls.attend_last(q, k, v, call)

    output = mix(query, key, value)
    masks["query_mask"] = None if n != m else masks["query_mask"]
    observed = {"q": query, "k": key, "v": value, "output": output, "mixed": mix, **masks}
    report(module, attention=cls, mechanism=mechanism, options=cls.drawn_options(query, call), **observed)
    return output.transpose(1, 2).contiguous(), None


def is_causal_module(module: Any, given: bool | None) -> bool:
    """Is this attention causal?

    What the call says (transformers hands the config's `is_causal` on, to cross attention too), or else the module.
    """
    return bool(getattr(module, "is_causal", True) if given is None or crosses(module) else given)


def crosses(module: Any) -> bool:
    """Does this module, if it is noncausal, take its keys from another sequence?

    Lengths do not tell when they are equal.
    """
    marked = getattr(module, "is_cross_attention", False) or getattr(module, "is_decoder", False)
    return bool(marked) or "Cross" in type(module).__name__


def padding_mask(
    batch_size: int,
    q_length: int,
    kv_length: int,
    q_offset: int = 0,
    kv_offset: int = 0,
    mask_function: Callable[..., Any] | None = None,
    attention_mask: Tensor | None = None,
    **others: Any,
) -> Tensor | None:
    """The mask function of transformers: the padding alone.

    Args:
        batch_size: b.
        q_length: Queries of this call.
        kv_length: Keys, as transformers counts them.
        q_offset: Queries before this call. Default: 0.
        kv_offset: Keys before the first. Default: 0.
        mask_function: Transformers' description of the mask; causal and bidirectional are taken. Default: None.
        attention_mask: `(b, m)`, 1 = keep. Default: None.
        others: Ignored.

    Returns:
        Boolean `(b, m)`, True = keep, or None if nothing is padded.

    Raises:
        ValueError: A mask that is more than padding and causality, a cache longer than what it holds.
    """
    from transformers.masking_utils import bidirectional_mask_function, causal_mask_function

    if mask_function not in (None, causal_mask_function, bidirectional_mask_function):
        raise ValueError(
            "this model asks for a mask that is more than padding and causality (a sliding window, chunks, packed sequences, or its own):"
            f" {getattr(mask_function, '__qualname__', mask_function)}"
        )
    last_query, last_key = int(q_offset) + q_length, kv_offset + kv_length
    if mask_function is causal_mask_function and last_query != last_key:
        raise ValueError(f"{last_query} queries so far and {last_key} keys: use a cache that grows, not a static one")
    if attention_mask is None:
        return None
    kept = attention_mask.to(torch.bool)
    kept = F.pad(kept, (0, max(0, last_key - kept.shape[1])))[:, kv_offset:last_key]
    return None if not torch.compiler.is_compiling() and bool(kept.all()) else kept


def key_mask_of(mask: Tensor | None, b: int, n: int, m: int, causal: bool) -> Tensor | None:
    """The keys (b, m) that a model's mask keeps.

    One of four dimensions, boolean or to add, must be padding, and causality if `causal`.
    """
    if mask is None:
        return None
    if mask.ndim == 2 and not mask.is_floating_point():
        if mask.shape != (b, m):
            raise ValueError(f"the attention mask must be (batch, keys) = ({b}, {m}), got {tuple(mask.shape)}")
        return mask.to(torch.bool)
    if mask.ndim == 4:
        seen = mask if mask.dtype == torch.bool else mask == 0
        only_drops = mask.dtype == torch.bool or bool((seen | (mask <= torch.finfo(mask.dtype).min)).all())
        seen = seen.expand(b, seen.shape[1], n, m)
        keys = seen.flatten(1, 2).any(1)  # b m
        wanted = keys[:, None, None, :].expand_as(seen)
        if causal:
            wanted = wanted & torch.ones(n, m, dtype=torch.bool, device=mask.device).tril(m - n)
        if only_drops and torch.equal(seen, wanted):
            return keys
    wanted_form = "padding and causality" if causal else "padding"
    raise ValueError(
        f"the attention mask {tuple(mask.shape)} of {mask.dtype} is not {wanted_form}: Regard's mechanisms take no other"
    )

"""Regard's mechanisms as attention implementations of Hugging Face transformers.

Neither the model's code nor its weights change. `regard.swap` is the main entry point; the settings made here are saved
and loaded with the model's config:

    huggingface.register()
    model.set_attn_implementation("regard-smyrf")                       # back: "sdpa"
    huggingface.configure(model, rounds=2, cluster_size=32)             # and, for single layers, layers=[6, 7]

The mechanisms are those whose class has `function_options`: they add no parameters. Each gets an attention function and
a mask function (`regard.adapters.masks`), which learns from transformers about causality, padding, windows and packed
sequences. If a layer asks for something that the mechanism lacks, that is an error; softmax handles it by the model's
own code. The first call of a model proves the swap (`regard.adapters.proof`): a model whose attention does not come
here is an error.
"""

import functools
import inspect
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from regard.adapters import recording
from regard.adapters.dispatch import Chosen, capabilities, run
from regard.adapters.masks import Asked, DescribedMask, described_mask, padding, read_mask
from regard.attention import Attention, Call, claimed
from regard.common.checks import check_count, check_module, check_seed
from regard.observers import HUGGINGFACE, report, weights_of
from regard.registry import list_mechanisms, mechanism_class

SETTINGS = "regard_attention"  # the attribute of a model's config that holds the options, and is saved with it
SWAPPED = HUGGINGFACE + "swap"  # the implementation of models that `regard.swap` has changed
PLACED = (
    "regard_swap"  # the attribute of an attention module with what it runs under `SWAPPED`; None or absent: its own
)
OWN = "regard_own"  # the attribute of a module or config that names the model's own implementation
EXTRAS = {
    "position_bias": "a position bias",
    "softcap": "capped scores",
    "s_aux": "attention sinks",
    "sinks": "attention sinks",
    "cu_seq_lens_q": "sequences packed by cu_seq_lens",
    "cache": "a paged cache",
    "indices": "sparse indices",
    "block_indices": "sparse indices",
}
DROPOUT = (
    "{who} asks {mechanism!r} for an attention dropout of {dropout:g}, which only softmax attention has: set the config's"
    " attention dropout to 0 before the model is built, or module.dropout of its attention (0, or p = 0)"
)


def available() -> list[str]:
    """The names of the mechanisms that models can run: those whose class has `function_options`."""
    return [name for name in list_mechanisms() if claimed(mechanism_class(name), "function_options") is not None]


def register() -> list[str]:
    """Register every mechanism without parameters as an attention implementation. A second call changes nothing.

    Returns:
        The names of the implementations, `regard-<name>`.

    Raises:
        ImportError: transformers is not installed; the message says what to install.
    """
    try:
        from transformers import AttentionInterface, AttentionMaskInterface
    except ImportError as error:
        raise ImportError(
            "regard.adapters.huggingface needs transformers: pip install 'regard[huggingface]'"
        ) from error
    names = [HUGGINGFACE + mechanism for mechanism in available()]
    for name in [*names, SWAPPED]:
        AttentionInterface.register(name, attention)
        AttentionMaskInterface.register(name, described_mask)
    from regard.adapters.first_call import guard

    guard()
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
    the implementation is not (transformers never saves it). Models whose attention modules do not know their layer
    number (ViT) are numbered here: see `number_layers`.

    Args:
        model: A model of transformers.
        mechanism: Whose options these are. Default: None, the mechanism that the model runs.
        layers: The numbers of the layers that run `mechanism` with these options. Default: None, all that run it.
        seed: Seed of the random draws, together with the layer's number and the head width. Default: None, unchanged (0
            at first). `seed` without options leaves the options of all layers unchanged.
        options: The mechanism's options; those not given return to their defaults, `function_options` of its class.

    Raises:
        ValueError: The model has no attention of transformers or lacks these layers; the mechanism is unknown, does not
            have these options, or cannot take their values. In this case nothing is changed.
        TypeError: No model, or an option, a seed or the number of a layer of the wrong type.
    """
    check_module(model)
    if seed is not None:
        check_seed(seed)
    if layers is not None:
        if not isinstance(layers, Collection):
            raise TypeError(f"layers must be the numbers of layers, as [0, 2], got {layers!r}")
        for number in layers:
            check_count(number, 0, "a layer's number")
    modules = list(attention_modules(model))
    if not modules:
        raise ValueError(
            f"{type(model).__name__} holds no attention that goes through transformers' attention interface"
        )
    mechanism = mechanism or running(modules[0])
    if mechanism is None:
        raise ValueError(
            f"{type(model).__name__} runs its own attention: set one of {', '.join(available())} first, or say mechanism="
        )
    if mechanism not in available():
        raise ValueError(
            f"there is no attention implementation {HUGGINGFACE + str(mechanism)!r}; there are {', '.join(available())}"
        )
    check_options(mechanism, options)
    towers = by_config(modules)
    if layers is not None:
        if len(towers) > 1:
            held = ", ".join(f"{type(config).__name__} (0 … {max(numbers)})" for config, _, numbers in towers)
            raise ValueError(
                f"the numbers of layers are not unique in {type(model).__name__}, which has the towers {held}: call configure"
                " on the one that you mean"
            )
        numbers = towers[0][2]
        if unknown := sorted(set(layers) - set(numbers)):
            raise ValueError(f"there is no layer {', '.join(map(str, unknown))}; the model has 0 … {max(numbers)}")
    number_layers(model)
    for config, _, _ in towers:
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
    for _, modules, numbers in by_config(list(attention_modules(model))):
        for module, number in zip(modules, numbers, strict=True):
            module.regard_layer = number


def attention_modules(model: nn.Module) -> Iterator[Any]:
    """The modules that pass themselves to an attention function of transformers and carry the config."""
    for module in model.modules():
        if hasattr(getattr(module, "config", None), "_attn_implementation") and (
            hasattr(module, "is_causal") or dispatches(class_of(module))
        ):
            yield module


def class_of(module: Any) -> Hashable:
    """The module's class, as something that can be a key: to a type checker nn.Module's is not."""
    return cast(Hashable, type(module))


@functools.lru_cache(maxsize=4096)
def dispatches(cls: Hashable) -> bool:
    """Does this class, judging by its source, ask transformers for its attention function?"""
    try:
        return "ALL_ATTENTION_FUNCTIONS" in inspect.getsource(inspect.unwrap(cls.forward))  # type: ignore[attr-defined]
    except (AttributeError, OSError, TypeError):
        return False


def by_config(modules: Sequence[Any]) -> list[tuple[Any, list[Any], list[int]]]:
    """Attention modules by the config that they share: config, modules, their numbers.

    The number is the one that the model gives, or else the module's place among those of one config, so it does not
    depend on the part of the model from which one looks.
    """
    configs = {id(module.config): module.config for module in modules}
    towers = []
    for key, config in configs.items():
        own = [module for module in modules if id(module.config) == key]
        towers.append((config, own, layer_numbers(own)))
    return towers


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
    """Raises ValueError or TypeError for options that the mechanism does not have or values that it cannot take."""
    cls, defaults = function_class(mechanism)
    if unknown := sorted(set(options) - set(defaults)):
        raise ValueError(f"{mechanism!r} has no option {', '.join(unknown)}; it has {', '.join(defaults) or 'none'}")
    one = torch.zeros(1, 1, 1, 2)
    cls.attend(one, one, one, Call(options={**defaults, **options}))


def function_class(mechanism: str) -> tuple[type[Attention], dict[str, Any]]:
    """The class of a mechanism that models can run, and its options' defaults."""
    cls = mechanism_class(mechanism)
    key = f"{cls.__module__}.{cls.__qualname__}"
    if key not in _options:  # looked up once: torch.compile cannot follow a class's own dictionary
        _options[key] = dict(claimed(cls, "function_options") or {})
    return cls, dict(_options[key])


_options: dict[str, dict[str, Any]] = {}


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
    attention_mask: Any,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[Tensor, Tensor | None]:
    """The attention function of transformers. Causal queries are the last n of the m tokens, as with a cache.

    Args:
        module: The attention module, which carries the config.
        query: `(b, h, n, d)`.
        key: `(b, g, m, d)` with h a multiple of g.
        value: `(b, g, m, e)`.
        attention_mask: What `described_mask` or the model has made: `(b, m)`, or four-dimensional; or None.
        scaling: Factor of q · k. Default: None, d ** -0.5.
        dropout: Of the attention weights; softmax has it, the others refuse it. Default: 0.
        is_causal: Is the call causal, where no mask says? Default: None, not told.
        others: What else transformers passes; what the mechanism does not have is an error.

    Returns:
        The output `(b, n, h, e)`, and None, or the weights `(b, h, n, m)` of a weighted mean if they are asked for.

    Raises:
        ValueError: The mechanism cannot do what is asked, or nothing says whether the call is causal.
        UnsupportedPattern: The mechanism does not have the pattern of the call.
    """
    who = name_of(module)
    given: dict[str, Any] = {"scaling": scaling, "dropout": dropout, "is_causal": is_causal, **others}
    chosen = chosen_for(module)
    extras = [f"{what} ({name}=)" for name, what in EXTRAS.items() if others.get(name) is not None]
    recording.note(
        module,
        "interface",
        query,
        key,
        asked=lambda: (
            Asked(other=", ".join(extras)) if extras else asked_of(module, query, key, attention_mask, is_causal)
        ),
    )
    if chosen is None:
        return own_attention(module, query, key, value, attention_mask, given)
    takes = capabilities(chosen.mechanism)
    if "dense" in takes and (extras or dropout or others.get("output_attentions")):
        return own_attention(module, query, key, value, attention_mask, given)
    if extras:
        raise ValueError(f"{who} asks for {', '.join(extras)}, which {chosen.mechanism!r} does not have")
    with_weights = bool(others.get("output_attentions"))
    if with_weights and not claimed(mechanism_class(chosen.mechanism), "weighted_mean"):
        raise ValueError(
            f"{who}: the output of {chosen.mechanism!r} is not a weighted mean of values, so it has no weights"
        )
    if dropout:
        raise ValueError(DROPOUT.format(who=who, mechanism=chosen.mechanism, dropout=dropout))
    asked = asked_of(module, query, key, attention_mask, is_causal)
    if asked.other and "dense" in takes:
        return own_attention(module, query, key, value, attention_mask, given)
    scale = query.shape[3] ** -0.5 if scaling is None else scaling
    across = crosses(module) and not asked.causal  # a causal mask is over the keys of the same sequence
    roles: dict[str, Any] = {"across": across, "target_is_causal": target_is_causal(module)}
    mixed = run(chosen, query, key, value, asked, who=who, scale=scale, **roles)
    seen, weights = mixed.observed, None
    if seen:
        report(module, **seen)
    if with_weights:
        if not seen:
            raise ValueError(f"{who}: packed sequences have no weights")
        weights = weights_of(seen["attention"], seen["mixed"], seen["q"], seen["k"])
    return mixed.output.transpose(1, 2).contiguous(), weights


def chosen_for(module: Any) -> Chosen | None:
    """What an attention module runs; None: its own attention."""
    if module.config._attn_implementation == SWAPPED:
        placed: Chosen | None = getattr(module, PLACED, None)
        return placed
    mechanism, call = settings(module)
    return Chosen(mechanism, call.options, call.seed)


def own_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, given: dict[str, Any]
) -> tuple[Tensor, Tensor | None]:
    """The model's own attention, with the mask that transformers makes for it."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    function = eager_function(class_of(module))
    name = getattr(module, OWN, None) or ("sdpa" if function is None else "eager")
    wants = any(given.get(extra) is not None for extra in ("softcap", "s_aux", "sinks")) or given.get(
        "output_attentions"
    )
    if function is not None and wants:
        name = "eager"
    if name != "eager":
        function = ALL_ATTENTION_FUNCTIONS[name]
    if function is None:
        raise ValueError(f"{name_of(module)}: its model has no attention function {name!r} of its own")
    if isinstance(mask, DescribedMask):
        causal, mask = mask.asked.causal, mask.for_implementation(name)
        if mask is None and causal and given.get("is_causal") is False:  # said because there was a mask
            given = {**given, "is_causal": bool(getattr(module, "is_causal", False)) and query.shape[2] > 1}
    given = given if given.get("is_causal") is not None else {k: v for k, v in given.items() if k != "is_causal"}
    output: tuple[Tensor, Tensor | None] = function(module, query, key, value, mask, **given)
    return output


@functools.lru_cache(maxsize=4096)
def eager_function(cls: Hashable) -> Any:
    """The attention that a model has in its own file, for "eager"."""
    assert isinstance(cls, type)
    for base in cls.__mro__:
        place = inspect.getmodule(base)
        if (function := getattr(place, "eager_attention_forward", None)) is not None:
            return function
    return None


def asked_of(module: Any, query: Tensor, key: Tensor, mask: Any, is_causal: bool | None) -> Asked:
    """What a call asks for. Causality is what mask or caller says; without either, `is_causal` must be False."""
    b, (n, m) = query.shape[0], (query.shape[2], key.shape[2])
    if isinstance(mask, DescribedMask):
        return mask.asked
    told = None if crosses(module) else is_causal
    says = bool(getattr(module, "is_causal", False)) and not crosses(module)
    if mask is not None and mask.ndim == 4:
        causal = told if told is not None else (says and n == 1)
        return read_mask(mask, b, n, m, offset=max(0, m - n), causal=causal)
    if told is None and says and n > 1:
        raise ValueError(
            f"{name_of(module)} says is_causal = True but was given no mask that says so, and no is_causal=: torch's own attention"
            " and transformers' plain one differ here; hand it a mask, or is_causal="
        )
    causal = says if told is None else told
    if mask is None:
        return Asked(causal=causal)
    if mask.ndim == 2 and not mask.is_floating_point():
        return Asked(causal=causal, key_mask=mask.to(torch.bool))
    return Asked(other=f"the attention mask {tuple(mask.shape)} of {mask.dtype}, which is not padding")


def name_of(module: Any) -> str:
    """The name of an attention module in messages."""
    number = getattr(module, "regard_layer", own_number(module))
    known: str | None = getattr(module, "regard_name", None)
    return (
        f"{known} ({type(module).__name__})"
        if known
        else f"{type(module).__name__}" + ("" if number is None else f" of layer {number}")
    )


def is_causal_module(module: Any, given: bool | None) -> bool:
    """Is this attention causal, by `given` or else by its module? For questions asked without a call."""
    return bool(getattr(module, "is_causal", True) if given is None or crosses(module) else given)


def crosses(module: Any) -> bool:
    """Does this module, if it is noncausal, take its keys from another sequence?

    Equal lengths do not tell. What a proof has found takes precedence over the module's own attributes.
    """
    if (proven := getattr(module, "regard_across", None)) is not None:
        return bool(proven)
    marked = getattr(module, "is_cross_attention", False) or getattr(module, "is_decoder", False)
    return bool((marked and not getattr(module, "is_causal", False)) or "Cross" in type(module).__name__)


def target_is_causal(module: Any) -> bool:
    """If this is cross attention: must no output depend on later targets? Yes, unless something says otherwise."""
    if (proven := getattr(module, "regard_target_is_causal", None)) is not None:
        return bool(proven)
    config = module.config
    marks = (getattr(module, "is_decoder", False), getattr(module, "is_cross_attention", False))
    return any(marks) or bool(getattr(config, "is_encoder_decoder", False) or getattr(config, "is_decoder", False))


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
    """A mask function of transformers for attention functions that need only the padding.

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
        ValueError: A mask that is more than padding and causality, or a cache longer than its contents.
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
    return padding(attention_mask, kv_offset, last_key)

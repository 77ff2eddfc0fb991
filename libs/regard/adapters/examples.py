"""Inputs to try a model with: the user's own or, for a model of transformers, made from its config and signature."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

LENGTH, TARGET = 40, 36  # tokens; no multiple of any example's cluster, so that borders show
IDS = ("input_ids", "decoder_input_ids")


@dataclass(frozen=True)
class Example:
    """One call of a model.

    Args:
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        keep: `(b, n)`, boolean, the tokens that its padding keeps; None: nothing is padded. Default: None.
    """

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    keep: Tensor | None = None

    def call(self, model: nn.Module) -> Any:
        """The model's result."""
        return model(*self.args, **self.kwargs)

    def sequences(self) -> Iterator[tuple[str, Tensor]]:
        """The arguments that are sequences of tokens, by name: `(b, n)` integers that are not masks, or `(b, n, w)`."""
        for name, x in [*((str(i), x) for i, x in enumerate(self.args)), *self.kwargs.items()]:
            if not isinstance(x, Tensor) or "mask" in name or "pixel" in name or "position" in name or "type" in name:
                continue
            if (x.ndim == 2 and x.dtype == torch.long and x.shape[1] > 1) or (x.ndim == 3 and x.is_floating_point()):
                yield name, x

    def changed(self, name: str, x: Tensor) -> "Example":
        """The call with another tensor for one of its arguments."""
        if name.isdigit():
            args = list(self.args)
            args[int(name)] = x
            return replace(self, args=tuple(args))
        return replace(self, kwargs={**self.kwargs, name: x})


def of_user(example: Any) -> Example:
    """What a user gives as `example=`: a tensor, a tuple of arguments or a mapping of keyword arguments."""
    if isinstance(example, Example):
        return example
    if isinstance(example, Tensor):
        return Example((example,))
    if isinstance(example, Mapping):
        return with_padding(Example((), dict(example)))
    if isinstance(example, (tuple, list)):
        return Example(tuple(example))
    raise TypeError(
        f"example must be a tensor, a tuple of arguments or a dict of keyword arguments, got {type(example).__name__}"
    )


def with_padding(example: Example) -> Example:
    """The call with `keep` read from its own mask, a 2-d argument with "mask" in its name ("padding": True = drop)."""
    for name, x in example.kwargs.items():
        if isinstance(x, Tensor) and x.ndim == 2 and "mask" in name and "tgt" not in name and "decoder" not in name:
            keep = x.to(torch.bool)
            keep = ~keep if "padding" in name else keep
            if any(tuple(keep.shape) == tuple(y.shape[:2]) for _, y in example.sequences()):
                return replace(example, keep=keep)
    return example


def padded(example: Example) -> Example | None:
    """The call with its second row padded at the end, if it has tokens and takes an `attention_mask`."""
    ids = example.kwargs.get("input_ids")
    if not isinstance(ids, Tensor) or ids.ndim != 2 or ids.shape[0] < 2:
        return None
    keep = torch.ones_like(ids, dtype=torch.bool)
    keep[1, 2 * ids.shape[1] // 3 :] = False
    return replace(example, kwargs={**example.kwargs, "attention_mask": keep.long()}, keep=keep)


def attempts(model: Any) -> Iterator[Example]:
    """Calls that a model of transformers might take, the fullest first."""
    config, takes = model.config, parameters(model)
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    device = next(iter(model.parameters()), torch.zeros(0)).device
    dtype = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).to(device, dtype)

    def ids(length: int) -> Tensor:
        limit = first(
            text, config, names=("max_position_embeddings", "n_positions", "max_target_positions"), default=512
        )
        length = min(length, limit - 4 if limit > 8 else limit)
        vocabulary = first(text, config, names=("vocab_size", "n_vocab"), default=100)
        allowed = torch.tensor(sorted(set(range(3, vocabulary)) - special(config) - special(text)) or [1])
        return allowed[torch.randint(len(allowed), (2, length), generator=generator)].to(device)

    vision = getattr(config, "vision_config", None) or config
    size = first(vision, config, names=("image_size", "img_size", "input_size"), default=224)
    height, width = (
        (size, size) if isinstance(size, int) else tuple(size)[-2:] if not isinstance(size, dict) else (224, 224)
    )
    channels = first(vision, config, names=("num_channels", "in_channels", "num_input_channels"), default=3)
    bins = first(
        config,
        getattr(config, "audio_config", config),
        names=("num_mel_bins", "feature_size", "input_feat_per_channel"),
        default=80,
    )
    frames = 2 * first(config, getattr(config, "encoder_config", config), names=("max_source_positions",), default=60)
    words: dict[str, Any] = {"input_ids": ids(LENGTH)} if "input_ids" in takes else {}
    target: dict[str, Any] = {}
    if ("decoder_input_ids" in takes and getattr(config, "is_encoder_decoder", False)) or "decoder_input_ids" in takes:
        target = {"decoder_input_ids": ids(TARGET)}
    pixels: dict[str, Any] = {"pixel_values": random(2, channels, height, width)} if "pixel_values" in takes else {}
    sounds: list[dict[str, Any]] = []
    if "input_features" in takes:
        sounds += [{"input_features": random(2, bins, frames)}, {"input_features": random(2, LENGTH, bins)}]
    if "input_values" in takes:
        sounds += [{"input_values": random(2, 8000)}, {"input_values": random(2, frames, bins)}]
    if "past_values" in takes:
        length = first(config, config, names=("context_length",), default=32)
        sounds += [{"past_values": random(2, length, channels if channels != 3 else 1)}]
    quiet = {name: False for name in ("use_cache",) if name in takes}
    for sound in [*sounds, {}]:
        for seen in (pixels, {}):
            for said in (words, {}):
                inputs = {**sound, **seen, **said, **target}
                if sound or seen or said:
                    yield Example((), {**inputs, **quiet})
                    if target:
                        yield Example((), {**sound, **seen, **said, **quiet})


def first(*configs: Any, names: tuple[str, ...], default: Any) -> Any:
    """The first of these attributes that is set."""
    for config in configs:
        for name in names:
            if (value := getattr(config, name, None)) is not None:
                return value
    return default


def special(config: Any) -> set[int]:
    """Token ids that mean something."""
    tokens = {value for name, value in vars(config).items() if name.endswith(("token_id", "token_index"))}
    return {value for value in tokens if isinstance(value, int)}


def parameters(model: nn.Module) -> set[str]:
    """The names of the arguments that a model's forward takes."""
    return set(inspect.signature(inspect.unwrap(type(model).forward)).parameters)


def find(model: Any) -> Example | None:
    """The first attempt that a model of transformers accepts; None if it accepts none."""
    if not hasattr(model, "config") or not hasattr(model, "main_input_name"):
        return None
    for attempt in attempts(model):
        try:
            with torch.no_grad():
                attempt.call(model)
        except Exception:
            continue
        return attempt
    return None

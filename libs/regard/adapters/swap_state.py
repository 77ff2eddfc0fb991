"""What a swap changes in a model besides single attentions, and how it is put back."""

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from regard.adapters import first_call, huggingface, torch_modules
from regard.adapters.interception import release

STATE = "regard_swaps"  # the attribute of a swapped model with what `unswap` puts back
MARKS = ("regard_swap", "regard_own", "regard_name", "regard_across", "regard_causal", "regard_target_is_causal")


@dataclass
class State:
    """What `unswap` puts back: the configs that a model shares with others, and which encoders pass nested tensors on.

    While it is swapped, the model has copies of its configs, because another model may have been built from the same ones.

    Args:
        implementations: The copies, with the attention that each asked for.
        nested: Encoders of torch, and whether they passed nested tensors on.
        configs: The model's own configs, each with its copy. Default: none, the model has kept its own.
    """

    implementations: list[tuple[Any, str]]
    nested: list[tuple[nn.TransformerEncoder, bool]]
    configs: list[tuple[Any, Any]] = field(default_factory=list)

    @classmethod
    def of(cls, model: nn.Module) -> "State":
        """What there is to put back; the model has copies of its configs from now on."""
        check_parts(model)
        nested = [(x, x.use_nested_tensor) for x in model.modules() if isinstance(x, nn.TransformerEncoder)]
        own = configs_of(model)
        for name in [config._attn_implementation for config in own]:
            if first_call.ours(name):
                raise ValueError(
                    f"{type(model).__name__} runs {name!r} already: call regard.unswap on what was swapped, or"
                    " model.set_attn_implementation('sdpa'), first"
                )
        if own:
            huggingface.register()
        copies = {id(config): copy.copy(config) for config in own}
        for each in copies.values():
            exchange(vars(each), copies)
        for module in model.modules():
            exchange(vars(module), copies)
        implementations = [(copies[id(config)], config._attn_implementation) for config in own]
        return cls(implementations, nested, [(config, copies[id(config)]) for config in own])

    def enter(self, model: nn.Module) -> None:
        """Route all of transformers' attention here; a module runs its own unless a mechanism has been placed in it."""
        own = {id(config): name for config, name in self.implementations}
        apart, ours = set(), set()  # configs of attention that looks at the implementation's name itself, and of ours
        for module in model.modules():
            key = id(getattr(module, "config", None))
            if (name := own.get(key)) is not None:
                module.__dict__["regard_own"] = name
                if huggingface.dispatches(huggingface.class_of(module)):
                    ours.add(key)
                elif re.search(r"attention|attn", type(module).__name__, re.IGNORECASE):
                    apart.add(key)
        for config, _ in self.implementations:
            if id(config) in ours or id(config) not in apart:
                config._attn_implementation_internal = huggingface.SWAPPED

    def clear(self, model: nn.Module) -> None:
        """Remove the mechanisms that have been placed in modules."""
        for module in model.modules():
            module.__dict__.pop("regard_swap", None)
            release(module)
            if isinstance(module, torch_modules.MixedAttention) and "regard_name" in vars(module):
                torch_modules.put_back(module)

    def restore(self, model: nn.Module) -> None:
        self.clear(model)
        own = {id(copied): config for config, copied in self.configs}
        for config, copied in self.configs:  # with what was changed in it meanwhile, as a vocabulary that has grown
            name = config._attn_implementation_internal
            vars(config).update(vars(copied))
            exchange(vars(config), own)
            config._attn_implementation_internal = name
        for module in model.modules():
            exchange(vars(module), own)
        for encoder, nested in self.nested:
            encoder.use_nested_tensor = nested
        for module in model.modules():
            for mark in MARKS:
                module.__dict__.pop(mark, None)


def check_parts(model: nn.Module) -> None:
    """Raises ValueError if a part of the model is swapped by itself, or the model is a part of one that is swapped."""
    for name, module in model.named_modules():
        if name and STATE in vars(module):
            raise ValueError(f"{name!r} of {type(model).__name__} is swapped by itself: call regard.unswap on it first")
    for name, module in model.named_modules():
        mixed = isinstance(module, torch_modules.MixedAttention) and "regard_name" in vars(module)
        if mixed or vars(module).get("regard_swap") is not None:
            raise ValueError(
                f"{name or 'this'!r} of {type(model).__name__} is an attention of a larger model that is swapped: call"
                " regard.unswap on that one first"
            )


def exchange(attributes: dict[str, Any], others: Mapping[int, Any]) -> None:
    """Put other configs in the place of those that are attributes, by the id of each."""
    for name, value in attributes.items():
        if id(value) in others:
            attributes[name] = others[id(value)]


def configs_of(model: nn.Module) -> list[Any]:
    """The configs of transformers that a model's modules carry, and those inside them."""
    configs: dict[int, Any] = {}

    def add(config: Any) -> None:
        if not hasattr(config, "_attn_implementation_internal") or id(config) in configs:
            return
        configs[id(config)] = config
        for name in getattr(config, "sub_configs", None) or ():
            add(getattr(config, name, None))

    for module in model.modules():
        add(getattr(module, "config", None))
    return list(configs.values())

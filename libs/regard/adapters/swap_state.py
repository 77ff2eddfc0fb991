"""What a swap changes in a model besides single attentions, and how it is put back."""

import re
from dataclasses import dataclass
from typing import Any

from torch import nn

from regard.adapters import first_call, huggingface, torch_modules
from regard.adapters.interception import release

STATE = "regard_swaps"  # the attribute of a swapped model with what `unswap` puts back
MARKS = ("regard_swap", "regard_own", "regard_name", "regard_across", "regard_causal", "regard_target_is_causal")


@dataclass
class State:
    """What `unswap` puts back: the implementations in a model's configs, and which encoders pass nested tensors on."""

    implementations: list[tuple[Any, str]]
    nested: list[tuple[nn.TransformerEncoder, bool]]

    @classmethod
    def of(cls, model: nn.Module) -> "State":
        nested = [(x, x.use_nested_tensor) for x in model.modules() if isinstance(x, nn.TransformerEncoder)]
        configs = [(config, config._attn_implementation) for config in configs_of(model)]
        for _, name in configs:
            if first_call.ours(name):
                raise ValueError(
                    f"{type(model).__name__} runs {name!r} already: call regard.unswap on what was swapped, or"
                    " model.set_attn_implementation('sdpa'), first"
                )
        if configs:
            huggingface.register()
        return cls(configs, nested)

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
        for config, name in self.implementations:
            config._attn_implementation_internal = name
        for encoder, nested in self.nested:
            encoder.use_nested_tensor = nested
        for module in model.modules():
            for mark in MARKS:
                module.__dict__.pop(mark, None)


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

"""Models of transformers that were told to run "regard-…": the checks of `regard.swap`, at their first call."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

from regard.adapters import examples, first_call, huggingface, proof
from regard.adapters.examples import Example
from regard.adapters.proof import SwapError, quiet
from regard.adapters.survey import learn
from regard.adapters.swap_state import State, configs_of
from regard.adapters.swapping import listed, located, place


@contextmanager
def as_it_was(model: nn.Module) -> Iterator[State]:
    """Within the block a model that runs "regard-…" runs "eager", which does what its mask says and nothing else."""
    configs = configs_of(model)
    now = [(config, config._attn_implementation) for config in configs]
    for config, name in now:
        if first_call.ours(name):
            config._attn_implementation_internal = "eager"
    try:
        yield State([(config, config._attn_implementation) for config in configs], [])
    finally:
        for config, name in now:
            config._attn_implementation_internal = name


@contextmanager
def all_to_us(model: nn.Module, configs: list[Any]) -> Iterator[None]:
    """Within the block each module runs the attention that has been placed in it, whatever the configs say."""
    now = [(config, config._attn_implementation) for config in configs]
    for config in configs:
        config._attn_implementation_internal = huggingface.SWAPPED
    try:
        yield
    finally:
        for config, name in now:
            config._attn_implementation_internal = name
        for module in model.modules():
            module.__dict__.pop("regard_swap", None)


def prove_implementation(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    """The first call of a model that was told to run "regard-…": the checks of `swap`, once for each such name.

    Raises SwapError, with the layer and the reason; UnsupportedPattern or ValueError if the mechanism refuses the call.
    """
    configs = configs_of(model)
    names = ", ".join(sorted({str(config._attn_implementation) for config in configs}))
    if names in model.__dict__.setdefault("regard_proven", set()):
        return
    with quiet(model):
        with as_it_was(model) as state:
            example = examples.find(model) or own_example(model, args, kwargs)
            try:
                facts = learn(model, state, example)
            finally:
                state_names = {id(config): name for config, name in state.implementations}
                for config in configs:
                    config._attn_implementation_internal = state_names[id(config)]
        modules = dict(model.named_modules())
        if not facts.heard or facts.unseen:
            held = listed(facts.unseen) or "all its attention"
            raise SwapError(
                f"{type(model).__name__} does not go through transformers' attention interface with {held}: it would run on as it"
                f" is under Regard's name. regard.swap(model, …, where=…) swaps what can be caught"
            )
        if outside := [name for name, heard in facts.heard.items() if heard.kind != "interface"]:
            raise SwapError(
                f"{listed(outside)} of {type(model).__name__} call torch's attention themselves and would run on as they are under"
                " Regard's name; regard.swap(model, …) reaches them"
            )
        for name in facts.heard:
            modules[name].__dict__["regard_across"] = facts.across[name]
            modules[name].__dict__["regard_target_is_causal"] = facts.target_is_causal[name]
        chosen = {name: huggingface.chosen_for(modules[name]) for name in facts.heard}
        with all_to_us(model, configs):
            place(model, state, "softmax", list(facts.heard), facts, 0, {})
            for case, each in facts.cases.items():
                located(model, state, list(facts.heard), facts, case, each)
        for case, each in facts.cases.items():
            mechanisms = {one.mechanism for one in chosen.values() if one is not None}
            proof.check_kept(model, each, facts.kept[case], " and ".join(sorted(mechanisms)))
    model.__dict__["regard_proven"].add(names)


def own_example(model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Example:
    """The first call's own inputs, without a cache."""
    plain = {name: value for name, value in kwargs.items() if "past_key" not in name and "cache" not in name}
    if "use_cache" in examples.parameters(model):
        plain["use_cache"] = False
    return examples.with_padding(Example(tuple(args), plain))

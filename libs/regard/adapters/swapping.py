"""The front door: a mechanism in the place of any model's attention, checked before it opens.

    report = regard.swap(model, "smyrf", rounds=2, cluster_size=32)
    regard.unswap(model)

Attention is caught in three places: transformers' attention interface, `F.scaled_dot_product_attention`, and
`nn.MultiheadAttention`. The model runs once on an example, and tells which of its modules attend, how, and over whose
keys. What is not swapped keeps its own attention, with the mask that it has always had.
"""

import fnmatch
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from regard.adapters import examples, first_call, huggingface, proof, recording, torch_modules
from regard.adapters.dispatch import Chosen, check_pattern, pattern_of
from regard.adapters.examples import Example
from regard.adapters.interception import intercept, release
from regard.adapters.masks import Asked, within
from regard.adapters.proof import SwapError, quiet
from regard.adapters.recording import Heard
from regard.attention import claimed
from regard.common.patterns import Pattern
from regard.registry import mechanism_class

Where = str | Collection[str] | Callable[[str], bool] | None
STATE = "regard_swaps"  # the attribute of a swapped model with what `unswap` puts back
MARKS = ("regard_swap", "regard_own", "regard_name", "regard_across", "regard_causal", "regard_target_is_causal")


@dataclass(frozen=True)
class SwapReport:
    """What a swap has done.

    Args:
        mechanism: The mechanism.
        swapped: The attentions that it runs in now, by name.
        kept: Those that keep their own attention, with the reason. Default: none.
        unseen: Modules that look like attention and called none that can be caught: code of their own. Default: none.
        unreached: Attentions that the example did not reach; they keep their own. Default: none.
        checks: What was proven, in words. Default: nothing.
    """

    mechanism: str
    swapped: list[str]
    kept: dict[str, str] = field(default_factory=dict)
    unseen: list[str] = field(default_factory=list)
    unreached: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.mechanism} in {len(self.swapped)} attentions: {listed(self.swapped)}"]
        if self.kept:
            lines.append(f"{len(self.kept)} keep their own:")
            lines += [f"    {name}: {why}" for name, why in self.kept.items()]
        if self.unreached:
            lines.append(f"{len(self.unreached)} were not reached by the example: {listed(self.unreached)}")
        if self.unseen:
            lines.append(f"{len(self.unseen)} with code of their own: {listed(self.unseen)}")
        return "\n".join([*lines, *(f"proven: {check}" for check in self.checks)])


@dataclass
class Facts:
    """What an example has shown of a model.

    Args:
        heard: Its attentions by name.
        unseen: As in `SwapReport`.
        unreached: As in `SwapReport`.
        across: For each attention, do its keys come from another sequence than its queries?
        target_is_causal: For each, if so: may no output depend on later targets?
        reference: The model's outputs, for each case.
        kept: How far each change of the example moved them, for each case.
        cases: The example, and what else was tried.
    """

    heard: dict[str, Heard]
    unseen: list[str]
    unreached: list[str]
    across: dict[str, bool]
    target_is_causal: dict[str, bool]
    reference: dict[str, dict[str, Tensor]]
    kept: dict[str, dict[str, dict[str, float]]]
    cases: dict[str, Example]


def swap(
    model: nn.Module,
    mechanism: str = "smyrf",
    *,
    where: Where = None,
    example: Any = None,
    seed: int = 0,
    **options: Any,
) -> SwapReport:
    """Let a mechanism take the place of a model's attention, and prove that nothing else has changed.

    No weight and no code changes. Before it returns, softmax through the new way gives the model's outputs, without
    padding and with it, and whatever the model keeps from an output (the future, padding) the mechanism keeps too.
    `unswap` takes it back; a second `swap` takes the place of the first.

    Args:
        model: Any model; changed in place.
        mechanism: A mechanism that works as a function (`regard.adapters.huggingface.available()`). Default: "smyrf".
        where: Names of attentions, as `SwapReport.swapped` has them: one pattern ("encoder.*") or several, or a function
            of a name; or "possible", all that the mechanism can do. Default: None, all; one that it cannot do is an
            error.
        example: What to run the model with: a tensor, a tuple of arguments or a dict of keyword arguments. Default:
            None, made from the config of a model of transformers.
        seed: What is drawn depends on it and on the place among the swapped attentions. Default: 0.
        options: The mechanism's own; those not given have their defaults.

    Returns:
        What was swapped, what was not and why, what was proven.

    Raises:
        SwapError: An attention cannot be swapped or the model would be another, with the layer and why. The model is
            then as it was.
        ValueError: There is no such mechanism, option, name or attention, or no example.
        TypeError: An option or example of the wrong type.
    """
    check_function(mechanism)
    huggingface.check_options(mechanism, options)
    unswap(model)
    state = State.of(model)
    model.__dict__[STATE] = state
    try:
        with first_call.proving(), quiet(model):
            given = examples.of_user(example) if example is not None else examples.find(model)
            if given is None:
                raise ValueError(
                    f"no inputs for {type(model).__name__} could be made: give some to prove the swap with, example=(x,) or"
                    " example={'input_ids': ids, …}"
                )
            facts = learn(model, state, given)
            swapped, kept = choose(mechanism, where, facts, type(model).__name__)
            if facts.unseen and where is None:
                raise SwapError(
                    f"{len(facts.unseen)} modules of {type(model).__name__} look like attention but call none that can be caught,"
                    f' and would stay as they are: {listed(facts.unseen)}; say where="possible" to swap the others'
                )
            checks = prove(model, state, mechanism, swapped, facts, seed, options)
    except BaseException:
        unswap(model)
        raise
    return SwapReport(mechanism, swapped, kept, facts.unseen, facts.unreached, checks)


def check_function(mechanism: str) -> None:
    """Raises ValueError for a mechanism that does not work as a function."""
    if claimed(mechanism_class(mechanism), "function_options") is None:
        raise ValueError(
            f"{mechanism!r} has parameters of its own, so that it cannot take a trained attention's place; those that can are"
            f" {', '.join(huggingface.available())}"
        )


def unswap(model: nn.Module) -> None:
    """Give a swapped model its own attention back; does nothing to another.

    Args:
        model: What `swap` was called with.
    """
    state: State | None = model.__dict__.pop(STATE, None)
    if state is not None:
        state.restore(model)


@dataclass
class State:
    """What `unswap` puts back: the implementations of a model's configs, and who hands nested tensors on."""

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
        """Have all of transformers' attention come to us, where each module runs its own unless something is placed."""
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
        """Nothing is placed anywhere."""
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
    found: dict[int, Any] = {}

    def add(config: Any) -> None:
        if not hasattr(config, "_attn_implementation_internal") or id(config) in found:
            return
        found[id(config)] = config
        for name in getattr(config, "sub_configs", None) or ():
            add(getattr(config, name, None))

    for module in model.modules():
        add(getattr(module, "config", None))
    return list(found.values())


# -- what a model is


def learn(model: nn.Module, state: State, example: Example) -> Facts:
    """Run a model as it is and under a recorder."""
    cases = dict(proof.cases(example))
    reference = {case: proof.outputs(model, each) for case, each in cases.items()}
    kept = {case: proof.kept_by(model, each) for case, each in cases.items()}
    state.enter(model)
    prints: dict[str, dict[nn.Module, tuple[list[float], list[float]]]] = {}
    with recording.recorded(model) as recorder:
        found = {case: proof.outputs(model, each) for case, each in cases.items()}
    for case in cases:
        proof.check_parity(reference[case], found[case], cases[case].keep, f"the model's own attention, {case}")
    for name, changed in sources(example):
        with recording.recorded(model) as again:
            proof.outputs(model, changed)
        prints[name] = again.prints
    with recording.recorded(model) as base:
        proof.outputs(model, example)
    names = {module: name for name, module in model.named_modules()}
    for module in recorder.heard:
        module.__dict__["regard_name"] = names[module] or type(model).__name__
    heard = {names[module]: each for module, each in recorder.heard.items()}
    across, target = {}, {}
    causal = causal_sources(kept, reference, example)
    for module, each in recorder.heard.items():
        of_q = depends(module, base.prints, prints, 0)
        name = names[module]
        roles = {
            depends_in(module, base.prints, prints, 0, i) != depends_in(module, base.prints, prints, 1, i) or n != m
            for i, (n, m) in enumerate(base.heard[module].lengths if module in base.heard else ())
        }
        across[name] = not each.causal and (True in roles or any(n != m for n, m in each.lengths))
        if len(roles) > 1:
            each.asked.append(Asked(other="self attention and cross attention by one module"))
            each.lengths.append((1, 1))
        told = [causal[s] for s in of_q if causal.get(s) is not None]
        marked = bool(getattr(module, "is_decoder", False) or getattr(module, "is_cross_attention", False))
        # Queries of no input (learned ones) have no future; where no output tells, any causal attention is a warning.
        target[name] = bool(of_q) and (any(told) if told else (marked or causal_anywhere(recorder.heard)))
    unseen = [names[module] for module in unheard(model, recorder)]
    unreached = [
        names[module]
        for module in candidates(model)
        if module not in recorder.heard and module not in recorder.ran and not isinstance(module, type(model))
    ]
    return Facts(heard, unseen, unreached, across, target, reference, kept, cases)


def causal_anywhere(heard: Mapping[nn.Module, Heard]) -> bool:
    """Does any attention ask for causality? Then the target of cross attention is taken to be causal."""
    return any(each.causal for each in heard.values())


def sources(example: Example) -> Iterator[tuple[str, Example]]:
    """The example with one of its inputs changed everywhere."""
    for name, x in [*((str(i), x) for i, x in enumerate(example.args)), *example.kwargs.items()]:
        if isinstance(x, Tensor) and "mask" not in name and x.ndim > 1:
            if x.is_floating_point():
                yield name, example.changed(name, 0.5 * x.flip(1) + 1)
            elif x.dtype == torch.long and "position" not in name and "type" not in name:
                yield name, example.changed(name, x.flip(1).roll(1, 1))


def depends(
    module: nn.Module, base: Mapping[nn.Module, Any], changed: Mapping[str, Mapping[nn.Module, Any]], side: int
) -> set[str]:
    """Which inputs the queries (side 0) or keys (side 1) of a module's calls depend on."""
    return {name for name, each in changed.items() if module in each and each[module][side] != base[module][side]}


def depends_in(
    module: nn.Module,
    base: Mapping[nn.Module, Any],
    changed: Mapping[str, Mapping[nn.Module, Any]],
    side: int,
    call: int,
) -> set[str]:
    """The same of one call."""
    return {
        name
        for name, each in changed.items()
        if module in each and len(each[module][side]) > call and each[module][side][call] != base[module][side][call]
    }


def causal_sources(
    kept: Mapping[str, Mapping[str, Mapping[str, float]]],
    reference: Mapping[str, Mapping[str, Tensor]],
    example: Example,
) -> dict[str, bool | None]:
    """For each sequence: does its future leave outputs before it as they are? None: no output shows it."""
    said: dict[str, bool | None] = {}
    for case, by_change in kept.items():
        for change, moved in by_change.items():
            if (match := re.match(r"the future of (\S+) from", change)) and moved:
                near = [
                    distance <= proof.tolerance(reference[case][name], proof.SAME) for name, distance in moved.items()
                ]
                said[match[1]] = bool(said.get(match[1], True)) and all(near)
    return said


def candidates(model: nn.Module) -> list[nn.Module]:
    """Modules that are attention by their class's name and have maps of their own, none inside another."""
    found: list[nn.Module] = []
    for module in model.modules():
        maps = [child for child in module.children() if isinstance(child, nn.Linear) or "Conv" in type(child).__name__]
        if re.search(r"attention|attn", type(module).__name__, re.IGNORECASE) and len(maps) >= 2:
            found.append(module)
    return found


def unheard(model: nn.Module, recorder: recording.Recorder) -> list[nn.Module]:
    """Candidates that ran, and neither they nor anything in or around them was heard."""
    around = {part for module in recorder.heard for part in module.modules()}
    return [
        module
        for module in candidates(model)
        if module in recorder.ran
        and module not in around
        and not any(part in recorder.heard for part in module.modules())
    ]


# -- where


def choose(mechanism: str, where: Where, facts: Facts, model: str) -> tuple[list[str], dict[str, str]]:
    """The names of the attentions to swap, and why the others are not."""
    if not facts.heard:
        held = f": {listed(facts.unseen)} are code of their own" if facts.unseen else ""
        raise SwapError(
            f"{model} has no attention that can be caught: none went through transformers' attention interface,"
            f" F.scaled_dot_product_attention or nn.MultiheadAttention{held}"
        )
    refused = {name: why for name in facts.heard if (why := refusal(mechanism, name, facts)) is not None}
    if where == "possible":
        chosen = [name for name in facts.heard if name not in refused]
        if not chosen:
            raise SwapError(f"{mechanism!r} can take the place of no attention of {model}: {reasons(refused)}")
        return chosen, refused
    if where is None:
        chosen = list(facts.heard)
    elif callable(where):
        chosen = [name for name in facts.heard if where(name)]
    else:
        patterns = [where] if isinstance(where, str) else list(where)
        for pattern in patterns:
            if not fnmatch.filter(facts.heard, pattern):
                raise ValueError(f"no attention is named {pattern!r}; there are {listed(list(facts.heard))}")
        chosen = [name for name in facts.heard if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]
    if not chosen:
        raise ValueError(f"where= chooses no attention; there are {listed(list(facts.heard))}")
    if bad := {name: why for name, why in refused.items() if name in chosen}:
        raise SwapError(
            f"{mechanism!r} cannot take the place of {len(bad)} of {len(chosen)} attentions of {model}: {reasons(bad)}"
            + ('; where="possible" leaves them as they are' if len(bad) < len(chosen) else "")
        )
    return chosen, {name: "not chosen" for name in facts.heard if name not in chosen}


def refusal(mechanism: str, name: str, facts: Facts) -> str | None:
    """Why the mechanism cannot take an attention's place; None: it can."""
    cls, heard = mechanism_class(mechanism), facts.heard[name]
    takes = claimed(cls, "function_takes")
    for asked, (n, m) in zip(heard.asked, heard.lengths, strict=True):
        if asked.other and not ("dense" in takes and heard.kind != "module"):
            return f"it asks for {asked.other}"
        if within(asked.window, n, m, causal=asked.causal) is not None and "window" not in takes:
            return "it asks for a sliding window"
        try:
            pattern = pattern_of(asked, n, m, across=facts.across[name], target_is_causal=facts.target_is_causal[name])
            check_pattern(mechanism, pattern, "it")
        except ValueError as error:
            return str(error)
    return None


def reasons(refused: Mapping[str, str]) -> str:
    """Names by reason."""
    by_reason: dict[str, list[str]] = {}
    for name, why in refused.items():
        by_reason.setdefault(why, []).append(name)
    return "; ".join(f"{listed(names)}: {why}" for why, names in by_reason.items())


def listed(names: list[str]) -> str:
    """Up to four names, and how many more."""
    shown = ", ".join(name or "the model itself" for name in names[:4])
    return shown + (f" and {len(names) - 4} more" if len(names) > 4 else "")


# -- put in place, and proven


def place(
    model: nn.Module, state: State, mechanism: str, names: list[str], facts: Facts, seed: int, options: dict[str, Any]
) -> None:
    """Have these attentions run a mechanism, and no others."""
    state.clear(model)
    modules = dict(model.named_modules())
    complete = {**huggingface.function_class(mechanism)[1], **options}
    for number, name in enumerate(names):
        module, heard = modules[name], facts.heard[name]
        module.__dict__["regard_name"] = name or type(model).__name__
        module.__dict__["regard_across"] = facts.across[name]
        module.__dict__["regard_causal"] = heard.causal
        module.__dict__["regard_target_is_causal"] = facts.target_is_causal[name]
        if heard.kind != "module":
            module.__dict__["regard_swap"] = Chosen(mechanism, complete, seed * 10_007 + number)
        if heard.kind == "sdpa":
            intercept(module)
    places = {}
    for name in names:
        if facts.heard[name].kind == "module":
            cls, module = mechanism_class(mechanism), modules[name]
            wanted: list[Pattern] = [x for x in torch_modules.UNASKED if x in cls.patterns]
            if facts.across[name] and not facts.target_is_causal[name]:
                wanted = [x for x in cls.patterns if x == "noncausal_cross"]
            places[name] = (module, wanted)
    if places:
        taken = {key: value for key, value in options.items() if value is not None}
        torch_modules.put(model, places, mechanism, None, seed, taken)
        for name, (module, _) in places.items():
            module.self_attention = not facts.across[name]


def prove(
    model: nn.Module, state: State, mechanism: str, names: list[str], facts: Facts, seed: int, options: dict[str, Any]
) -> list[str]:
    """Softmax first, then the mechanism with small options, then with those that stay; the checks in words."""
    checks = []
    place(model, state, "softmax", names, facts, seed, {})
    for case, example in facts.cases.items():
        located(model, state, names, facts, case, example)
        checks.append(
            proof.check_parity(facts.reference[case], proof.outputs(model, example), example.keep, f"softmax, {case}")
        )
    cls, defaults = huggingface.function_class(mechanism)
    small = {key: value for key, value in cls.example.items() if key in defaults}
    said: list[str] = []
    for each in ({**options, **small}, options) if mechanism != "softmax" else (options,):
        place(model, state, mechanism, names, facts, seed, each)
        for case, example in facts.cases.items():
            said += proof.check_kept(model, example, facts.kept[case], mechanism)
    return checks + list(dict.fromkeys(said))


def located(model: nn.Module, state: State, names: list[str], facts: Facts, case: str, example: Example) -> None:
    """If softmax in all places is not what the model was, say in which it is not: raises SwapError."""
    try:
        proof.check_parity(facts.reference[case], proof.outputs(model, example), example.keep, f"softmax, {case}")
    except ValueError as error:
        for name in names:
            place(model, state, "softmax", [name], facts, 0, {})
            try:
                proof.check_parity(facts.reference[case], proof.outputs(model, example), example.keep, case)
            except ValueError as own:
                raise SwapError(f"{name or type(model).__name__}: {own}") from error
        raise SwapError(str(error)) from error


# -- models that were told to run "regard-…"


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
    """Within the block attention runs what is placed in each module, whatever the configs say."""
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

    Raises SwapError, with the layer and why; UnsupportedPattern or ValueError where the mechanism refuses.
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

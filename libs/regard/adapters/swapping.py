"""The main entry point: put a mechanism in place of any model's attention, after checking that this is right.

    report = regard.swap(model, "smyrf", rounds=2, cluster_size=32)
    regard.unswap(model)

Attention is intercepted in three places: transformers' attention interface, `F.scaled_dot_product_attention`, and
`nn.MultiheadAttention`. Running the model once on an example shows which of its modules attend, how, and over which
keys. What is not swapped keeps its own attention, with the mask that it has always had.
"""

import fnmatch
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from regard.adapters import examples, first_call, huggingface, proof, torch_modules
from regard.adapters.dispatch import Chosen, check_pattern, pattern_of
from regard.adapters.examples import Example
from regard.adapters.interception import intercept
from regard.adapters.masks import within
from regard.adapters.proof import SwapError, quiet
from regard.adapters.survey import Facts, learn
from regard.adapters.swap_state import STATE, State
from regard.attention import claimed
from regard.common.checks import check_module, check_seed
from regard.common.patterns import Pattern
from regard.registry import mechanism_class

Where = str | Collection[str] | Callable[[str], bool] | None


@dataclass(frozen=True)
class SwapReport:
    """What a swap has done.

    Args:
        mechanism: The mechanism.
        swapped: The attentions that it runs in now, by name.
        kept: Those that keep their own attention, with the reason. Default: none.
        unseen: Modules that look like attention but made no call that can be intercepted: code of their own. Default:
            none.
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


def swap(
    model: nn.Module,
    mechanism: str = "smyrf",
    *,
    where: Where = None,
    example: Any = None,
    seed: int = 0,
    **options: Any,
) -> SwapReport:
    """Replace a model's attention by a mechanism, and prove that nothing else has changed.

    Neither weights nor code change. Before it returns, it proves that softmax through the new path gives the model's
    outputs, with and without padding, and that whatever the model keeps from influencing an output (the future,
    padding) the mechanism does too. `unswap` undoes the swap; a second `swap` replaces the first. While it is swapped, a
    model of transformers has copies of its configs, so that another model built from the same config stays as it is.

    Args:
        model: Any model; changed in place.
        mechanism: A mechanism that works as a function (`regard.adapters.huggingface.available()`). Default: "smyrf".
        where: Names of attentions, as `SwapReport.swapped` has them: one pattern ("encoder.*") or several, or a
            function of a name; or "possible", all that the mechanism can replace. Default: None, all; one that it
            cannot replace is an error.
        example: What to run the model with: a tensor, a tuple of arguments or a dict of keyword arguments. Default:
            None, made from the config of a model of transformers.
        seed: Random draws depend on it and on the place among the swapped attentions. Default: 0.
        options: The mechanism's own options; those not given keep their defaults.

    Returns:
        What was swapped, what was not and why, what was proven.

    Raises:
        SwapError: An attention cannot be swapped, or the swap would change the model; the message names the layer and
            the reason. The model then has its own attention, even if it had been swapped before.
        ValueError: There is no such mechanism, option, name or attention, no example, or one that proves nothing because
            the model's outputs on it are empty or not finite. Or a part of the model is swapped by itself.
        TypeError: The model is no module, or an option, a seed, `where` or the example is of the wrong type.
    """
    check_module(model)
    check_where(where)
    check_seed(seed)
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
            f"{mechanism!r} has parameters of its own, so it cannot replace a trained attention; those that can are"
            f" {', '.join(huggingface.available())}"
        )


def unswap(model: nn.Module) -> None:
    """Give a swapped model its own attention back; does nothing to a model that is not swapped.

    Args:
        model: What `swap` was called with.
    """
    check_module(model)
    state: State | None = model.__dict__.pop(STATE, None)
    if state is not None:
        state.restore(model)


# -- where


def check_where(where: Any) -> None:
    """Raises TypeError for what is neither names nor a function of one."""
    if where is None or isinstance(where, str) or callable(where):
        return
    if not isinstance(where, Collection) or not all(isinstance(name, str) for name in where):
        raise TypeError(f"where must be a pattern of names, several, or a function of a name, got {where!r}")


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
    """The reason why the mechanism cannot replace an attention; None if it can."""
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
    """Make these attentions, and no others, run a mechanism."""
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
    """Check softmax, then the mechanism with small options, then with the final ones; returns the checks in words."""
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
    """Check softmax in all places; if that fails, raises a SwapError that names the place that fails by itself."""
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

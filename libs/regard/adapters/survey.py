"""A survey of a model's attentions: which modules attend, how, and over which keys, found by running an example."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from regard.adapters import proof, recording
from regard.adapters.examples import Example
from regard.adapters.masks import Asked
from regard.adapters.recording import Heard
from regard.adapters.swap_state import State


@dataclass
class Facts:
    """What an example has shown of a model.

    Args:
        heard: Its attentions by name.
        unseen: As in `SwapReport`.
        unreached: As in `SwapReport`.
        across: For each attention, do its keys come from a different sequence than its queries?
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


def learn(model: nn.Module, state: State, example: Example) -> Facts:
    """Run a model as it is and under a recorder."""
    cases = dict(proof.cases(example))
    reference = {case: proof.outputs(model, each) for case, each in cases.items()}
    for case, given in cases.items():
        proof.check_tells(reference[case], given.keep, case)
    kept = {case: proof.kept_by(model, each) for case, each in cases.items()}
    state.enter(model)
    prints: dict[str, dict[nn.Module, tuple[list[float], list[float]]]] = {}
    with recording.recorded(model) as recorder:
        outputs = {case: proof.outputs(model, each) for case, each in cases.items()}
    for case in cases:
        proof.check_parity(reference[case], outputs[case], cases[case].keep, f"the model's own attention, {case}")
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
        # Queries that depend on no input (learned ones) have no future; where no output tells, any causal attention is
        # a warning.
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
    """For each sequence: does its future leave earlier outputs unchanged? None if no output shows it."""
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
    """Modules that are attention by their class's name and have projections of their own, none inside another."""
    modules: list[nn.Module] = []
    for module in model.modules():
        maps = [child for child in module.children() if isinstance(child, nn.Linear) or "Conv" in type(child).__name__]
        if re.search(r"attention|attn", type(module).__name__, re.IGNORECASE) and len(maps) >= 2:
            modules.append(module)
    return modules


def unheard(model: nn.Module, recorder: recording.Recorder) -> list[nn.Module]:
    """Candidates that ran although neither they nor anything in or around them was recorded."""
    around = {part for module in recorder.heard for part in module.modules()}
    return [
        module
        for module in candidates(model)
        if module in recorder.ran
        and module not in around
        and not any(part in recorder.heard for part in module.modules())
    ]

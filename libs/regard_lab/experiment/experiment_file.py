"""An experiment is one whole run in one file, `projects/<paper>/experiments/<name>.yaml`: its data, model, training and budget.

    run          `module:function` that runs a cell of it
    data_sets    data set -> the paper's own that it replaces (null: it is the paper's own); may differ by scale
    base         an experiment, or several, that this one changes; if left out, the file is complete by itself
    <section>    the sections of the project's typed config, such as `data`, `model`, `training`; a section left out is null
    scales       what `quick`, `laptop` and `paper` change, section by section

A later layer overrides an earlier one, value by value. The order is: the bases with the scale's changes to them, this
file, the scale's changes here, a table's `config:`, and finally what a row or a command line sets. A list is replaced
as a whole.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from regard_lab.common.errors import UserError, nearest
from regard_lab.common.strict_yaml import Node, read_yaml
from regard_lab.experiment.results import SCALES, Scale

Values = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True)
class Overlay:
    """Config values, section by section, and what each scale changes in them."""

    sections: Values
    scales: Mapping[Scale, Values]

    def over(self, values: Values, scale: Scale) -> Values:
        """`values` with this overlay applied to them."""
        return lay_over(lay_over(values, self.sections), self.scales.get(scale, {}))


@dataclass(frozen=True)
class Experiment:
    """An experiment at one scale: the function that runs a cell, the data sets that it reads, and its config."""

    name: str
    run: str | None
    data_sets: dict[str, str | None] | None
    values: Values


def experiment_names(project: Path) -> list[str]:
    """The experiments of a project: one file each."""
    return sorted(path.stem for path in (project / "experiments").glob("*.yaml"))


def read_experiment(project: Path, name: str, scale: Scale) -> Experiment:
    """An experiment with its bases, at a scale; for an unknown name, a `UserError` suggests the nearest."""
    return _read(project, name, scale, ())


def _read(project: Path, name: str, scale: Scale, above: tuple[str, ...]) -> Experiment:
    known = experiment_names(project)
    if name not in known:
        raise UserError(
            f"there is no experiment {name!r}.{nearest(name, known)} There are: {', '.join(known) or 'none here'}"
        )
    top = read_yaml(project / "experiments" / f"{name}.yaml")
    entries = top.entries()
    run = entries.pop("run").text() if "run" in entries else None
    data_sets = by_scale(entries.pop("data_sets"), read_data_sets)[scale] if "data_sets" in entries else None
    values: Values = {}
    for base in _bases(entries.pop("base", None), (*above, name)):
        below = _read(project, base, scale, (*above, name))
        values = lay_over(values, below.values)
        run = run or below.run
        if below.data_sets is not None and "data_sets" not in top.entries():
            data_sets = {**(data_sets or {}), **below.data_sets}
    values = read_overlay(top, entries).over(values, scale)
    return Experiment(name, run, data_sets, values)


def _bases(node: Node | None, above: tuple[str, ...]) -> list[str]:
    if node is None:
        return []
    bases = [item.text() for item in node.items()] if isinstance(node.value, list) else [node.text()]
    for base in bases:
        if base in above:
            raise node.error(f"{' -> '.join((*above, base))} is circular")
    return bases


def read_overlay(top: Node, entries: dict[str, Node] | None = None) -> Overlay:
    """The sections of a mapping, without its key `scales`, and what `scales` changes."""
    entries = top.entries() if entries is None else entries
    scales: dict[Scale, Values] = {}
    if "scales" in entries:
        for scale, node in entries["scales"].fields((), SCALES).items():
            scales[check_scale(scale)] = {name: item.value for name, item in node.entries().items()}
    return Overlay({name: node.value for name, node in entries.items() if name != "scales"}, scales)


def read_data_sets(node: Node) -> dict[str, str | None]:
    """Data sets by name, each with the paper's own that it replaces."""
    return {name: None if item.value is None else item.text() for name, item in node.entries().items()}


def by_scale(node: Node, read: Callable[[Node], T]) -> dict[Scale, T]:
    """A value that may differ by scale: a mapping of all three, or one value for all."""
    if isinstance(node.value, dict) and set(node.value) & set(SCALES):
        return {check_scale(scale): read(item) for scale, item in node.fields(SCALES).items()}
    return dict.fromkeys(SCALES, read(node))


def lay_over(values: Values, changes: Mapping[str, Any]) -> Values:
    """`values` overridden by `changes`: mappings are merged, everything else is replaced."""
    merged = dict(values)
    for name, change in changes.items():
        before = merged.get(name)
        merged[name] = lay_over(before, change) if isinstance(before, dict) and isinstance(change, Mapping) else change
    return merged


def set_value(values: Values, path: str, value: Any) -> Values:
    """`values` with the key `path` (`model.width`) set; for an unknown key, a `UserError` suggests the nearest."""
    name, dot, rest = path.partition(".")
    if name not in values or (dot and not isinstance(values[name], dict)):
        raise UserError(f"unknown config key {path!r}.{nearest(path, list(key_paths(values)))}")
    if not dot:
        return {**values, name: value}
    try:
        return {**values, name: set_value(values[name], rest, value)}
    except UserError:
        raise UserError(f"unknown config key {path!r}.{nearest(path, list(key_paths(values)))}") from None


def key_paths(values: Mapping[str, Any], above: str = "") -> list[str]:
    """Every key of nested values, as `model.width`."""
    paths = []
    for name, value in values.items():
        paths.append(above + name)
        if isinstance(value, Mapping):
            paths += key_paths(value, f"{above}{name}.")
    return paths


def check_scale(scale: str) -> Scale:
    """The scale with that name, or a `UserError` that lists all scales."""
    for known in SCALES:
        if scale == known:
            return known
    raise UserError(f"there is no scale {scale!r}.{nearest(scale, SCALES)} There are: {', '.join(SCALES)}")

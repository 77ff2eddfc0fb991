"""Configs: the values of an experiment, a table and a row as one plain config, typed at the door.

A key that no schema knows is an error, never a silent default. What a command line composes is `regard_lab.experiment.composition`'s.
"""

from dataclasses import MISSING, dataclass, fields
from typing import Any, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from regard_lab.common.errors import UserError
from regard_lab.experiment.experiments import Values
from regard_lab.experiment.project import Project
from regard_lab.experiment.results import Scale
from regard_lab.experiment.table_file import TableSpec


@dataclass(frozen=True)
class Composed:
    """A config as plain values, what is run with it, and where it comes from: a table's (`table`), or an experiment's own."""

    config: dict[str, Any]
    spec: TableSpec
    scale: Scale
    experiment: str
    table: str | None


def whole(project: Project, values: Values, scale: Scale) -> Values:
    """`values` with the scale, a seed, and null for each section that is left out, has no default and may be null."""
    register_resolvers(project)
    hints = get_type_hints(project.schema)
    left = [field.name for field in fields(project.schema) if field.default is MISSING and field.name not in values]
    null = {name: None for name in left if type(None) in get_args(hints[name])}
    return {**values, **null, "seed": 0, "scale": scale}


def register_resolvers(project: Project) -> None:
    """Make `${name:…}` known for each of a project's own resolvers."""
    for name, resolver in project.resolvers.items():
        OmegaConf.register_new_resolver(name, resolver, replace=True)


def resolved(values: DictConfig | Values) -> dict[str, Any]:
    """Plain values, with every interpolation resolved."""
    config = values if isinstance(values, DictConfig) else OmegaConf.create(values)
    try:
        plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
    except OmegaConfBaseException as error:
        raise UserError(f"config: {str(error).splitlines()[0]}") from None
    return plain


def typed(schema: type, values: Any, what: str = "config") -> Any:
    """`values` as an instance of the dataclass `schema`; unknown keys, missing keys and wrong types are one clear `UserError`."""
    try:
        merged = OmegaConf.merge(OmegaConf.structured(schema), values)
        assert isinstance(merged, DictConfig)
        return OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        first = str(error).splitlines()[0]
        key = f" at {error.full_key!r}" if error.full_key else ""
        raise UserError(f"{what}{key}: {first}") from None

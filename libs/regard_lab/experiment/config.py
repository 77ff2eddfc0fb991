"""Configs: the values of an experiment, a table and a row as one plain config, and its typed form.

A key that the schema does not know is an error and never silently ignored. Command lines are composed in
`regard_lab.experiment.composition`.
"""

import functools
import json
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError

from regard_lab.common.errors import UserError, nearest
from regard_lab.experiment.experiment_file import Values
from regard_lab.experiment.project import Project
from regard_lab.experiment.results import Scale
from regard_lab.experiment.table_file import TableSpec

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


@dataclass(frozen=True)
class Composed:
    """A config as plain values, what is run with it, and where it comes from: a table, or an experiment alone (`table` is `None`)."""

    config: dict[str, Any]
    spec: TableSpec
    scale: Scale
    experiment: str
    table: str | None


def whole(project: Project, values: Values, scale: Scale) -> Values:
    """`values` with the scale, a seed, and null for each missing section that may be null and has no default."""
    register_resolvers(project)
    hints = get_type_hints(project.schema)
    left = [field.name for field in fields(project.schema) if field.default is MISSING and field.name not in values]
    null = {name: None for name in left if type(None) in get_args(hints[name])}
    return {**values, **null, "seed": 0, "scale": scale}


def with_defaults(schema: Any, values: Any) -> Any:
    """`values` with the defaults that the dataclass `schema`, and those of its fields that have values, give to keys that are left out."""
    if not is_dataclass(schema) or not isinstance(values, dict):
        return values
    hints = get_type_hints(schema)
    given = {key: with_defaults(_section(hints.get(key)), value) for key, value in values.items()}
    return {**{field.name: field.default for field in fields(schema) if field.default is not MISSING}, **given}


def without_defaults(schema: Any, values: Any, before: Any) -> Any:
    """`values` without the keys that `with_defaults` has added to `before` and that still have their defaults: those are no part of a cell."""
    if not is_dataclass(schema) or not isinstance(values, dict) or not isinstance(before, dict):
        return values
    hints, defaults = get_type_hints(schema), {field.name: field.default for field in fields(schema)}
    return {
        key: without_defaults(_section(hints.get(key)), value, before.get(key))
        for key, value in values.items()
        if key in before or key not in defaults or value != defaults[key]
    }


def _section(hint: Any) -> Any:
    """The dataclass that a field holds, `Section` or `Section | None`, or `None`."""
    return next((one for one in (hint, *get_args(hint)) if is_dataclass(one)), None)


def register_resolvers(project: Project) -> None:
    """Register `${name:…}` for each of a project's own resolvers."""
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
    """`values` as an instance of the dataclass `schema`.

    Args:
        schema: A dataclass; its fields may be dataclasses, and say what they take: `Literal["pre", "post"]`,
            `Annotated[int, Field(ge=1)]`.
        values: Plain values.
        what: What the values are, for the message.

    Raises:
        UserError: Every key that is unknown, missing, of the wrong type or out of bounds, in one sentence per key, with its value.
    """
    try:
        # As JSON, because strict validation of Python objects asks for instances where these are plain values.
        return _adapter(schema).validate_json(json.dumps(values))
    except ValidationError as error:
        raise UserError("; ".join(_sentence(one, schema, what) for one in error.errors())) from None


@functools.cache
def _adapter(schema: type) -> TypeAdapter[Any]:
    _refuse_unknown_keys(schema)
    return TypeAdapter(schema)


def _refuse_unknown_keys(schema: Any) -> None:
    """Make unknown keys errors, and refuse strings as numbers, in `schema` and in the dataclasses of its fields."""
    if is_dataclass(schema):
        setattr(schema, "__pydantic_config__", ConfigDict(extra="forbid", strict=True))  # noqa: B010
        for hint in get_type_hints(schema).values():
            _refuse_unknown_keys(hint)
    for inner in get_args(schema):
        _refuse_unknown_keys(inner)


def _sentence(error: "ErrorDetails", schema: type, what: str) -> str:
    """One complaint of pydantic as a sentence: the key, what its value must be, and what it is."""
    path = [str(part) for part in error["loc"]]
    key = ".".join(path)
    match error["type"]:
        case "missing" | "missing_argument":
            return f"{what}: {key} is missing"
        case "unexpected_keyword_argument" | "extra_forbidden" | "no_such_attribute":
            known = _keys_beside(schema, path)
            return f"{what}: unknown key {key!r}.{nearest(path[-1], known)}"
        case "literal_error":
            return f"{what}: {key} must be {error['ctx']['expected']}, got {error['input']!r}"
    says = error["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{what}: {key} must be {says}, got {error['input']!r}"


def _keys_beside(schema: Any, path: list[str]) -> list[str]:
    """The keys of the dataclass that contains the last part of `path`."""
    for part in path[:-1]:
        hint = get_type_hints(schema).get(part) if is_dataclass(schema) else None
        schema = _section(hint)
    return [field.name for field in fields(schema)] if is_dataclass(schema) else []

"""Configs: composed by Hydra, typed at the door. A key that no schema knows is an error, never a silent default."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from regard_lab.errors import UserError, nearest
from regard_lab.results import SCALES, Key, Scale


@dataclass(frozen=True)
class TableSpec:
    """`conf/table/<table>.yaml`: which rows, how a row's key changes the config, what its cells run and give.

    `vary` says which config key each part of a row's key sets (`attention: model.attention`); `metrics` and `curves` give the units of
    what `run` returns; `data_sets` names the data sets used, each with the paper's set in whose place it stands (null: it is the paper's own);
    `seeds` and `workers` may hold an interpolation of the scale.
    """

    run: str
    rows: list[dict[str, Any]]
    vary: dict[str, str]
    metrics: dict[str, str]
    seeds: int
    data_sets: dict[str, str | None]
    curves: dict[str, str]
    workers: int | None = None


@dataclass(frozen=True)
class Composed:
    """What Hydra composed: the cell's config as plain values, the table's specification if a table was chosen, and the scale's name."""

    config: dict[str, Any]
    table: TableSpec | None
    scale: Scale


def compose(conf: Path, overrides: list[str]) -> Composed:
    """Compose `conf/config.yaml` with Hydra overrides (`data=imdb`, `model.attention=super`, `table=imdb`, `scale=laptop`).

    The blocks `scale` and `table` feed the others by interpolation and are no part of a cell's config: a budget that another table gets, or a
    row that it has more, does not make this cell a different one.
    """
    return _composed(_hydra(conf, overrides))


def compose_table(conf: Path, base: list[str]) -> tuple[Composed, list[Composed]]:
    """`compose(conf, base)`, and by `compose_rows` each row of the table that `base` chooses."""
    whole = _hydra(conf, base)
    composed = _composed(whole)
    shared: dict[tuple[str, ...], DictConfig] = {(): whole}
    if (spec := composed.table) is None:
        return composed, []
    return composed, [_compose_row(conf, base, as_overrides(key, spec.vary), shared) for key in spec.rows]


def compose_rows(conf: Path, base: list[str], rows: list[list[str]]) -> list[Composed]:
    """`compose(conf, base + row)` for each row of a table, in a fraction of the time.

    Hydra takes a tenth of a second a composition, and a table may have a hundred rows. So what chooses files (`data=imdb`) is composed once
    for all rows that choose the same; what sets values (`model.attention=super`) is set upon a copy, as Hydra would. `table` is left out of
    what comes back, and is shared by the copies like `scale`: both hold every row.
    """
    shared: dict[tuple[str, ...], DictConfig] = {}
    return [_compose_row(conf, base, row, shared) for row in rows]


def _compose_row(conf: Path, base: list[str], row: list[str], shared: dict[tuple[str, ...], DictConfig]) -> Composed:
    parsed = [_parsed(override) for override in row]
    plain = [one for one in parsed if one is not None and not (conf / one[0]).is_dir()]
    if any(key.partition(".")[0] in FEEDING for key, _ in plain):
        return compose(conf, [*base, *row])
    chosen = tuple(override for override, one in zip(row, parsed, strict=True) if one not in plain)
    if chosen not in shared:
        shared[chosen] = _hydra(conf, [*base, *chosen])
    common = [node for block in FEEDING if (node := shared[chosen]._get_node(block)) is not None]
    config = copy.deepcopy(shared[chosen], {id(node): node for node in common})
    for key, value in plain:
        if OmegaConf.select(config, key, default=_ABSENT) is _ABSENT:
            return compose(conf, [*base, *row])  # Hydra says what is wrong
        OmegaConf.update(config, key, value, merge=True)
    return Composed(config=_plain(config), table=None, scale=config.scale.name)


FEEDING = ("scale", "table")  # blocks that feed the others
_ABSENT = object()


def _parsed(override: str) -> tuple[str, Any] | None:
    """Key and value of `key=value` by Hydra's own grammar; `None` for anything else that an override can be."""
    parsed = OverridesParser.create().parse_override(override)
    if parsed.type is not OverrideType.CHANGE or parsed.package is not None or parsed.is_sweep_override():
        return None
    return parsed.key_or_group, parsed.value()


def _hydra(conf: Path, overrides: list[str]) -> DictConfig:
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(conf.resolve()), version_base="1.3"):
            return hydra.compose("config", overrides=overrides)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_explain(error, conf, overrides)) from None


def _composed(config: DictConfig) -> Composed:
    table = _values(config.table) if config.get("table") else None
    spec = typed(TableSpec, table, "table") if table else None
    return Composed(config=_plain(config), table=spec, scale=config.scale.name)


def _plain(config: DictConfig) -> dict[str, Any]:
    """A cell's config: the blocks as plain values, and the scale's name."""
    blocks = {str(name): _values(block) for name, block in config.items() if name not in FEEDING}
    return blocks | {"scale": config.scale.name}


def _values(block: Any) -> Any:
    if not OmegaConf.is_config(block):
        return block
    try:
        return OmegaConf.to_container(block, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"config: {str(error).splitlines()[0]}") from None


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


def as_overrides(row: Key, vary: dict[str, str]) -> list[str]:
    """A row's key as Hydra overrides."""
    if unknown := set(row) - set(vary):
        raise UserError(
            f"the row {row} has keys that its table does not vary: {', '.join(sorted(unknown))}; add them to `vary`"
        )
    return [f"{vary[name]}={value}" for name, value in row.items()]


def check_scale(scale: str) -> Scale:
    """The scale of that name, or a `UserError` that lists them."""
    for known in SCALES:
        if scale == known:
            return known
    raise UserError(f"there is no scale {scale!r}.{nearest(scale, SCALES)} There are: {', '.join(SCALES)}")


def _explain(error: Exception, conf: Path, overrides: list[str]) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, MissingConfigException):
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        known = sorted(error.options or [])
        what = f"{group} {choice!r}" if group else repr(choice)
        return f"there is no {what}.{nearest(choice, known)}" + (f" There are: {', '.join(known)}" if known else "")
    for override in overrides:
        key = override.lstrip("+~").split("=")[0]
        if f"'{key}'" in str(error) or f"key '{key}'" in str(error).lower():
            return f"unknown config key {key!r} (in {override!r}).{nearest(key, _known_keys(conf))}"
    message = lines[0] if lines else type(error).__name__
    options = [line for line in lines[1:] if not line.startswith("full_key") and not line.startswith("object_type")]
    return f"config: {message}" + (f" ({' '.join(options)})" if options else "")


def _known_keys(conf: Path) -> list[str]:
    """Every key and `group.key` that a config file of this project sets, for a suggestion."""
    found: set[str] = set()
    for path in [conf / "config.yaml", *conf.glob("*/*.yaml")]:
        content = OmegaConf.load(path)
        if isinstance(content, DictConfig):
            group = "" if path.parent == conf else f"{path.parent.name}."
            found |= {f"{group}{key}" for key in map(str, content)} | ({group[:-1]} if group else set())
    return sorted(found - {"defaults"})

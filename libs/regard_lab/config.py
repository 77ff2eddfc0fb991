"""Configs: an experiment, a table and a scale make one; Hydra sets values in it, and it is typed at the door.

`compose` is what a command line does (`experiment=imdb model.attention=super scale=laptop`, `table=imdb seed=1`); `regard_lab.tables` composes
the rows of a table by the same functions without Hydra, which takes a tenth of a second a composition. A key that no schema knows is an
error, never a silent default.
"""

from collections.abc import Iterable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from regard_lab.errors import UserError, nearest
from regard_lab.experiments import Values, experiment_names, key_paths, read_experiment
from regard_lab.project import Project
from regard_lab.results import SCALES, Scale
from regard_lab.table_file import TableSpec, read_table

NO_TABLE = "none"
CELL = "_cell"  # Hydra's group of whole configs, of which experiment, scale and table choose one


@dataclass(frozen=True)
class Composed:
    """A config as plain values, what is run with it, and where it comes from: a table's (`table`), or an experiment's own."""

    config: dict[str, Any]
    spec: TableSpec
    scale: Scale
    experiment: str
    table: str | None


def compose(project: Project, root: Path, overrides: list[str]) -> Composed:
    """What Hydra composes out of overrides (`experiment=imdb`, `table=imdb`, `scale=laptop`, `model.attention=super`)."""
    name = store_configs(project, root)
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize(config_path=None, version_base="1.3"):
            config = hydra.compose(name, overrides=overrides, return_hydra_config=True)
            choices = config.hydra.runtime.choices
            OmegaConf.set_struct(config, False)
            del config["hydra"]
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, project, root, overrides)) from None
    return composed(project, root, config, choices["experiment"], choices["table"])


def composed(project: Project, root: Path, config: DictConfig, experiment: str, table: str) -> Composed:
    """What a config that Hydra has composed stands for."""
    values = resolved(config)
    folder, scale = project.folder(root), values["scale"]
    if table != NO_TABLE:
        spec = read_table(folder, table).spec(folder, scale)
        return Composed(values, spec, scale, experiment, table)
    alone = read_experiment(folder, experiment, scale)
    if alone.run is None:
        raise UserError(f"experiment {experiment} does not say what to `run`: choose a table of it with table=NAME")
    spec = TableSpec(run=alone.run, rows=[{}], metrics={}, seeds=1, data_sets=alone.data_sets or {}, curves={})
    return Composed(values, spec, scale, experiment, None)


def store_configs(project: Project, root: Path) -> str:
    """Tell Hydra what `experiment`, `scale` and `table` can be chosen, and give the name of the config to begin with."""
    store, folder = ConfigStore.instance(), project.folder(root)
    for group in ("experiment", "scale", "table", CELL):
        store.repo.pop(group, None)  # those of another project
    for name in experiment_names(folder):
        store.store(group="experiment", name=name, node={}, package="_global_")
    store.store(group="table", name=NO_TABLE, node={}, package="_global_")
    for scale in SCALES:
        store.store(group="scale", name=scale, node={}, package="_global_")
        for (table, experiment), values in _whole(project, root, scale).items():
            store.store(group=CELL, name=f"{table}-{experiment}-{scale}", node=values, package="_global_")
    for name in project.tables(root):
        first = read_table(folder, name).experiments("quick")[0]
        store.store(group="table", name=name, node={"defaults": [{"override /experiment": first}]}, package="_global_")
    defaults = [
        {"experiment": "???"},
        {"scale": "quick"},
        {"table": NO_TABLE},
        {CELL: "${table}-${experiment}-${scale}"},
        "_self_",
        {"override hydra/job_logging": "none"},
    ]
    store.store(name=project.name, node={"defaults": defaults, "hydra": HYDRA | {"help": _help(project, root)}})
    return project.name


# A record goes to `runs/<scale>/<paper>/<table>/`, with the config in it; Hydra itself writes nothing but the list of a sweep's jobs.
HYDRA: dict[str, Any] = {
    "run": {"dir": "."},
    "sweep": {"dir": "runs/multirun", "subdir": "."},
    "output_subdir": None,
    "mode": RunMode.RUN,
}


def _whole(project: Project, root: Path, scale: Scale) -> dict[tuple[str, str], Values]:
    """The config of every experiment, and of every table with each of its experiments, by (table, experiment)."""
    folder = project.folder(root)
    alone = {name: read_experiment(folder, name, scale) for name in experiment_names(folder)}
    found = {(NO_TABLE, name): whole(project, experiment.values, scale) for name, experiment in alone.items()}
    for table in project.tables(root):
        file = read_table(folder, table)
        for name in file.experiments(scale):
            if name in alone:
                found[table, name] = whole(project, file.values(alone[name], scale), scale)
    return found


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


def explain(error: Exception, project: Project, root: Path, overrides: Iterable[str]) -> str:
    """What Hydra or OmegaConf complains of, in one sentence with the nearest right word."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, MissingConfigException):
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        if group == CELL:
            return _not_of_the_table(project, root, choice)
        known = sorted(error.options or [])
        what = f"{group} {choice!r}" if group else repr(choice)
        return f"there is no {what}.{nearest(choice, known)}" + (f" There are: {', '.join(known)}" if known else "")
    if lines and lines[0].startswith("You must specify 'experiment'"):
        names = ", ".join(experiment_names(project.folder(root)))
        return f"say what to run: experiment=NAME or table=NAME. Experiments: {names}"
    for override in overrides:
        key = override.lstrip("+~").split("=")[0]
        if f"'{key}'" in str(error) or f"key '{key}'" in str(error).lower():
            known = sorted({path for values in _whole(project, root, "quick").values() for path in key_paths(values)})
            return f"unknown config key {key!r} (in {override!r}).{nearest(key, known)}"
    message = lines[0] if lines else type(error).__name__
    options = [line for line in lines[1:] if not line.startswith("full_key") and not line.startswith("object_type")]
    return f"config: {message}" + (f" ({' '.join(options)})" if options else "")


def _not_of_the_table(project: Project, root: Path, choice: str) -> str:
    table, experiment, scale = choice.rsplit("-", 2)
    composes = ", ".join(read_table(project.folder(root), table).experiments(scale))  # type: ignore[arg-type]
    return f"table {table} does not compose experiment {experiment!r} at {scale}; it composes: {composes}"


def _help(project: Project, root: Path) -> dict[str, str]:
    command = f"python -m projects.{project.name}.train"
    text = "\n".join(
        [
            f"usage: {command} experiment=NAME [section.key=value ...] [scale=quick|laptop|paper] [seed=N]",
            f"       {command} table=NAME [section.key=value ...]     a cell of a table, with its record",
            f"       {command} -m experiment=NAME seed=0,1,2          a sweep; hydra/launcher=joblib and others run it",
            "",
            f"experiments: {', '.join(experiment_names(project.folder(root)))}",
            f"tables: {', '.join(project.tables(root))}",
            "",
            "--cfg job prints the config of a command and runs nothing; --hydra-help says what else Hydra can do.",
        ]
    )
    return {"app_name": command, "template": text.replace("$", "$$")}

"""What a command line composes: `experiment=imdb model.attention=super scale=laptop`, or a cell of a table, `table=imdb seed=1`.

Hydra reads the words and sets the values. The config in which they are set is made as `regard_lab.experiment.tables`
makes a row's; the latter does without Hydra, which takes a tenth of a second per composition.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from regard_lab.common.errors import UserError, nearest
from regard_lab.experiment.config import Composed, resolved, whole, with_defaults, without_defaults
from regard_lab.experiment.experiment_file import Values, check_scale, experiment_names, key_paths, read_experiment
from regard_lab.experiment.project import Project
from regard_lab.experiment.results import SCALES, Scale
from regard_lab.experiment.table_file import TableSpec, read_table

NO_TABLE = "none"
CELL = "_cell"  # Hydra's group of whole configs, of which experiment, scale and table choose one


def compose(project: Project, root: Path, overrides: list[str]) -> Composed:
    """The config that Hydra composes from overrides (`experiment=imdb`, `scale=laptop`, `model.attention=super`, …)."""
    name = store_configs(project, root, overrides)
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
    """The config that Hydra has composed, with what is run with it."""
    values = resolved(config)
    folder, scale = project.folder(root), values["scale"]
    before = _whole(project, root, scale, [experiment], [table] if table != NO_TABLE else [])[table, experiment]
    values = without_defaults(project.schema, values, before)
    if table != NO_TABLE:
        spec = read_table(folder, table).spec(folder, scale)
        return Composed(values, spec, scale, experiment, table)
    alone = read_experiment(folder, experiment, scale)
    if alone.run is None:
        raise UserError(f"experiment {experiment} does not say what to `run`: choose one of its tables with table=NAME")
    spec = TableSpec(run=alone.run, rows=[{}], metrics={}, seeds=1, data_sets=alone.data_sets or {}, curves={})
    return Composed(values, spec, scale, experiment, None)


def store_configs(project: Project, root: Path, words: Sequence[str]) -> str:
    """Tell Hydra which `experiment`, `scale` and `table` can be chosen, and return the name of the primary config.

    Whole configs are made only for choices that the command line names, because Hydra copies its store in every
    composition.
    """
    store, folder = ConfigStore.instance(), project.folder(root)
    experiments, tables = experiment_names(folder), project.tables(root)
    for group, names in (("experiment", experiments), ("scale", SCALES), ("table", [NO_TABLE, *tables])):
        store.repo.pop(group, None)  # those of another project
        for name in names:
            store.store(group=group, name=name, node={}, package="_global_")
    named = [name for name in _named(words, "table", tables) if name != NO_TABLE]
    for name in named:
        first = {"override /experiment": read_table(folder, name).experiments("quick")[0]}
        store.store(group="table", name=name, node={"defaults": [first]}, package="_global_")
    store.repo.pop(CELL, None)
    for scale in _named(words, "scale", SCALES) or ["quick"]:
        whole_configs = _whole(project, root, check_scale(scale), _named(words, "experiment", experiments), named)
        for (table, experiment), values in whole_configs.items():
            node = with_defaults(project.schema, values)  # a key that has a default can be set
            store.store(group=CELL, name=f"{table}-{experiment}-{scale}", node=node, package="_global_")
    defaults = [
        {"experiment": "???"},
        {"scale": "quick"},
        {"table": NO_TABLE},
        {CELL: "${table}-${experiment}-${scale}"},
        "_self_",
        {"override hydra/job_logging": "none"},
    ]
    store.store(name=project.name, node={"defaults": defaults, "hydra": HYDRA})
    return project.name


def _named(words: Sequence[str], group: str, known: Sequence[str]) -> list[str]:
    """The choices of a group that `group=…` names, one or several of a sweep; all if it is a function of Hydra's, such as `glob(*)`."""
    said = " ".join(value for key, _, value in (word.partition("=") for word in words) if key.lstrip("+") == group)
    return [name for name in known if "(" in said or name in re.split(r"[^\w]+", said)]


# A record goes to `runs/<scale>/<paper>/<table>/`, config included; Hydra itself writes only the list of a sweep's jobs.
HYDRA: dict[str, Any] = {
    "run": {"dir": "."},
    "sweep": {"dir": "runs/multirun", "subdir": "."},
    "output_subdir": None,
    "mode": RunMode.RUN,
}


def _whole(
    project: Project, root: Path, scale: Scale, experiments: Sequence[str], tables: Sequence[str]
) -> dict[tuple[str, str], Values]:
    """The config of each experiment alone, and of each table with its experiments, by (table, experiment)."""
    folder = project.folder(root)
    configs = {}
    for name in experiments:
        configs[NO_TABLE, name] = whole(project, read_experiment(folder, name, scale).values, scale)
    for table in tables:
        file = read_table(folder, table)
        for name in file.experiments(scale):
            configs[table, name] = whole(project, file.values(read_experiment(folder, name, scale), scale), scale)
    return configs


def explain(error: Exception, project: Project, root: Path, overrides: Sequence[str]) -> str:
    """A complaint of Hydra or OmegaConf as one sentence with the nearest valid word."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, MissingConfigException):
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        if group == CELL:
            return _not_of_the_table(project, root, choice)
        known = sorted(error.options or [])
        what = f"{group} {choice!r}" if group else repr(choice)
        if group == "hydra/launcher":
            known.append(f"others by plugins, such as hydra-{choice}-launcher")
        return f"there is no {what}.{nearest(choice, known)}" + (f" There are: {', '.join(known)}" if known else "")
    if lines and lines[0].startswith("You must specify 'experiment'"):
        names = ", ".join(experiment_names(project.folder(root)))
        return f"say what to run: experiment=NAME or table=NAME. Experiments: {names}"
    for override in overrides:
        key = override.lstrip("+~").split("=")[0]
        if f"'{key}'" in str(error) or f"key '{key}'" in str(error).lower():
            all_of_them = _whole(project, root, "quick", experiment_names(project.folder(root)), [])
            known = sorted({path for values in all_of_them.values() for path in key_paths(values)})
            return f"unknown config key {key!r} (in {override!r}).{nearest(key, known)}"
    message = lines[0] if lines else type(error).__name__
    options = [line for line in lines[1:] if not line.startswith("full_key") and not line.startswith("object_type")]
    return f"config: {message}" + (f" ({' '.join(options)})" if options else "")


def _not_of_the_table(project: Project, root: Path, choice: str) -> str:
    table, experiment, scale = choice.rsplit("-", 2)
    composes = ", ".join(read_table(project.folder(root), table).experiments(scale))  # type: ignore[arg-type]
    return f"table {table} does not compose experiment {experiment!r} at {scale}; it composes: {composes}"


def usage(project: Project, root: Path) -> str:
    """What can be written on the command line."""
    command = f"python -m projects.{project.name}.train"
    return "\n".join(
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

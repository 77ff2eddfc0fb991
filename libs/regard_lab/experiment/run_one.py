"""The command that trains one cell: `python -m projects.<paper>.train experiment=… model.attention=… scale=… seed=…`.

The words are Hydra's, and so are `-m` (a sweep, by any launcher that is installed), `--cfg job` and `--help`. With
`table=…` and a row's values the cell belongs to that table, which will not run it again. `keep=best|last|none` says
which weights stay in the run's folder.
"""

import os
import sys
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from regard_lab import data
from regard_lab.common.errors import UserError, command, nearest
from regard_lab.common.files import combined_sha256
from regard_lab.experiment.cells import Cell, run_cell
from regard_lab.experiment.composition import composed, explain, store_configs, usage
from regard_lab.experiment.config import Composed, register_resolvers
from regard_lab.experiment.executors import check_devices
from regard_lab.experiment.kept_runs import KEEP, KEPT, Keep
from regard_lab.experiment.project import Project
from regard_lab.experiment.tables import check_config, data_source, load_table, make_cell

NOT_USED = ("hydra.run.dir", "hydra.job.chdir", "hydra.output_subdir")


def command_of(project: Project) -> int:
    """The `main` of a project's `train.py`."""

    @command
    def main() -> int:
        return train(project, sys.argv[1:], Path.cwd())

    return main()


def train(project: Project, words: list[str], root: Path) -> int:
    """Pass the words of a command line to Hydra and train what they specify.

    Args:
        project: Whose cell.
        words: The command line.
        root: The folder of the repository.

    Returns:
        The exit code.

    Raises:
        UserError: Words that mean nothing, or a config that cannot run.
    """
    if {"-h", "--help"} & set(words):
        print(usage(project, root))
        return 0
    for word in words:
        if word.lstrip("+").partition("=")[0] in NOT_USED:
            raise UserError(
                f"{word.partition('=')[0]} is not used: a cell keeps its record, config and checkpoints in "
                "runs/<scale>/<paper>/<table>/, where its table finds them"
            )
    keep, words = _keep(words)
    wrong: list[UserError] = []

    def job(config: DictConfig) -> dict[str, float] | None:
        register_resolvers(project)  # a launcher may have started this process
        chosen = HydraConfig.get().runtime.choices
        try:
            return train_one(
                project, composed(project, root, config, chosen["experiment"], chosen["table"]), root, keep
            )
        except UserError as error:
            if HydraConfig.get().mode is not RunMode.RUN:
                raise  # Hydra says which job of the sweep it was
            wrong.append(error)
            return None

    name = store_configs(project, root, words)
    before = sys.argv, os.environ.get("HYDRA_FULL_ERROR")
    sys.argv, os.environ["HYDRA_FULL_ERROR"] = (
        [sys.argv[0], *words],
        "1",
    )  # errors are raised, and reported in one sentence
    try:
        hydra.main(version_base="1.3", config_path=None, config_name=name)(job)()
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(explain(error, project, root, words)) from None
    finally:
        sys.argv = before[0]
        if before[1] is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before[1]
    if wrong:
        raise wrong[0]
    return 0


def _keep(words: list[str]) -> tuple[Keep | None, list[str]]:
    """Which weights the words ask to keep, and the remaining words, which are Hydra's."""
    said = [word.partition("=")[2] for word in words if word.startswith("keep=")]
    if said and said[-1] not in KEEP:
        raise UserError(f"keep must be one of {', '.join(KEEP)}, got {said[-1]!r}.{nearest(said[-1], KEEP)}")
    return said[-1] if said else None, [word for word in words if not word.startswith("keep=")]  # type: ignore[return-value]


def train_one(project: Project, chosen: Composed, root: Path, keep: Keep | None = None) -> dict[str, float]:
    """Check a config, fetch its data, train or reuse, and print the metrics, which are returned too.

    Args:
        project: Whose cell.
        chosen: The config.
        root: The folder of the repository.
        keep: Which weights stay. If they are requested but missing, the cell is run again. Default: None, those of the
            best epoch if the cell is run now.
    """
    check_config(project, chosen.config)
    for name in chosen.spec.data_sets:
        data.ensure(name, root, data_source(chosen.config))
    cell = cell_of(project, chosen, root)  # only now is the checksum of its data known
    check_devices(cell.devices)
    folder = cell.folder(root)
    if keep in ("best", "last") and not (folder / KEPT).exists():
        cell.record_path(root).unlink(missing_ok=True)
    end = run_cell(cell, root, keep or "best")
    if end.record is None:
        raise UserError(f"{cell.id}: {end.outcome}: {end.reason}")
    print(f"{cell.id} ({cell.scale}, {end.outcome})")
    metrics: dict[str, Any] = end.record["metrics"]
    for name, value in metrics.items():
        print(f"  {name:<28} {value:.6g}")
    print(f"  record: {cell.record_path(root).relative_to(root)}")
    if (folder / KEPT).exists():
        print(f"  weights: python -m projects.{cell.paper}.evaluate {folder.relative_to(root)}")
    elif keep in ("best", "last"):
        raise UserError(
            f"{cell.id} has left no weights: it trains nothing, or its models were trained earlier without keeping weights (remove runs/artefacts)"
        )
    return metrics


def cell_of(project: Project, chosen: Composed, root: Path) -> Cell:
    """The cell of a config: the table's own if it has one with exactly this config, otherwise one outside the tables (`single`)."""
    if chosen.table is not None:
        known = load_table(project.name, chosen.table, chosen.scale, root).cells
        if match := next((cell for cell in known if cell.config == chosen.config), None):
            return match
    seed = int(chosen.config["seed"])
    mark = combined_sha256([repr(sorted(chosen.config.items()))])[:8]
    name = (chosen.config.get("data") or {}).get("name", chosen.experiment)  # a project need not read data
    slug = f"{name}-seed{seed}-{mark}"
    return make_cell(project, chosen, "single", slug, seed, root, chosen.spec, {"config": mark})

"""Runs whose weights stay: `python -m projects.<paper>.evaluate <run folder> [data=NAME] [section.key=value …]`, and `regard_lab.load(<run folder>)`.

A run's folder then holds `kept.json` (the config, what was run, and the metrics) and `weights/`
(`regard_lab.training.kept`). Evaluating means running the cell's own function on these weights, without training, so
measurements are made by the same code as after training. Loading means running it until it has its first model.
"""

import contextlib
import math
import sys
import tempfile
from pathlib import Path
from typing import Any, Literal

from regard_lab import data
from regard_lab.common import files
from regard_lab.common.errors import UserError, command, nearest
from regard_lab.common.strict_yaml import read_value
from regard_lab.experiment.cells import Cell
from regard_lab.experiment.project import Project

Keep = Literal["best", "last", "none"]
KEEP: tuple[Keep, ...] = ("best", "last", "none")
KEPT, WEIGHTS = "kept.json", "weights"
LAST_EPOCH = "last_epoch"  # in the names of metrics of the last epoch's weights


def write_kept(
    cell: Cell, folder: Path, metrics: dict[str, float], artefacts: list[Path], keep: Literal["best", "last"]
) -> None:
    """Leave a cell's trained weights, if any, in its folder, with all that another process needs to run on them."""
    from regard_lab.training.kept import keep_weights

    if not keep_weights(folder, artefacts, folder / WEIGHTS, keep):
        return
    described = {
        "paper": cell.paper,
        "run": cell.run,
        "schema": cell.schema,
        "keep": keep,
        "data": sorted(cell.data),
        "metrics": metrics,
        "config": cell.config,
    }
    files.write_json(folder / KEPT, described)


def read_kept(folder: Path) -> dict[str, Any]:
    """Read what `write_kept` wrote.

    Raises:
        UserError: The folder is not that of a run, or its weights were not kept.
    """
    if not folder.is_dir():
        raise UserError(f"there is no run folder {folder}; a training command prints its own")
    if not (folder / KEPT).exists():
        raise UserError(
            f"{folder} holds no weights: train with keep=best or keep=last (in tables weights are not kept)"
        )
    kept: dict[str, Any] = files.read_json(folder / KEPT)
    return kept


def evaluate(folder: Path, changes: dict[str, Any], root: Path) -> dict[str, float]:
    """Measure a kept run again.

    Args:
        folder: The run's folder.
        changes: Values of its config by dotted key, such as `{"data.name": "imdb"}`; the model must still fit them.
        root: The folder of the repository.

    Returns:
        The metrics by name; metrics that need weights that were not kept are left out.

    Raises:
        UserError: The run was not kept, or the config does not know a key.
    """
    from regard_lab.experiment.project import load
    from regard_lab.training import kept as weights

    kept = read_kept(folder)
    run = load(kept["run"])
    config = _config(kept, changes, root)
    with tempfile.TemporaryDirectory() as scratch:
        (cell := Path(scratch) / "cell").mkdir()
        with weights.replayed(folder.resolve() / WEIGHTS, Path(scratch)) as replay:
            measured: dict[str, float] = run(config, cell).metrics
    return {name: value for name, value in measured.items() if not (replay.missed and LAST_EPOCH in name)}


def load_model(folder: Path | str, name: str = "", root: Path | None = None) -> Any:
    """The trained model of a kept run, in evaluation mode on the CPU.

    Args:
        folder: The run's folder.
        name: Which model to return if the run trains several: its folder, such as a task of GLUE. Default: the first.
        root: The folder of the repository. Default: the current one.

    Raises:
        UserError: The run was not kept, or trains no model with that name.
    """
    from regard_lab.experiment.project import load
    from regard_lab.training import kept as weights

    kept = read_kept(folder := Path(folder))
    run = load(kept["run"])
    config = _config(kept, {}, root or Path.cwd())
    with tempfile.TemporaryDirectory() as scratch:
        (cell := Path(scratch) / "cell").mkdir()
        try:
            with weights.replayed(folder.resolve() / WEIGHTS, Path(scratch), name):
                run(config, cell)
        except weights.Offered as offered:
            return offered.model.cpu().eval()
    raise UserError(f"{folder} trains no model {name!r}" if name else f"{folder} trains no model")


def _config(kept: dict[str, Any], changes: dict[str, Any], root: Path) -> Any:
    """The run's config with changes, typed; its data are there afterwards."""
    from omegaconf import OmegaConf

    from regard_lab.experiment.config import typed
    from regard_lab.experiment.project import load

    config = OmegaConf.create(kept["config"])
    for key, value in changes.items():
        OmegaConf.update(config, key, value)
    plain: dict[str, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]
    names = kept["data"] if "data.name" not in changes else [changes["data.name"]]
    for name in names:
        if name not in data.names():
            raise UserError(f"there is no data set {name!r}.{nearest(name, data.names())}")
        data.ensure(name, root, plain["data"]["source"])
    return typed(load(kept["schema"]), plain)


def command_of(project: Project) -> int:
    """The `main` of a project's `evaluate.py`."""

    @command
    def main() -> int:
        return evaluate_words(project, sys.argv[1:], Path.cwd())

    return main()


def evaluate_words(project: Project, words: list[str], root: Path) -> int:
    """Evaluate what a command line names, and print each metric beside that of the training.

    Returns:
        0, or 1 if a metric of the same config is not what it was.
    """

    from regard_lab.restamp import is_timed

    if not words or {"-h", "--help"} & set(words):
        print(
            f"usage: python -m projects.{project.name}.evaluate RUN_FOLDER [data=NAME] [section.key=value ...]\n\n{__doc__}"
        )
        return 0 if words else 2
    folder, changes = Path(words[0]), {}
    for word in words[1:]:
        key, equals, text = word.partition("=")
        if not equals:
            raise UserError(f"after the run folder come words such as data=NAME or section.key=value, got {word!r}")
        changes["data.name" if key == "data" else key] = read_value(key, text)
    kept = read_kept(folder)
    if kept["paper"] != project.name:
        raise UserError(f"{folder} is a run of {kept['paper']}: python -m projects.{kept['paper']}.evaluate {folder}")
    metrics = evaluate(folder, changes, root)
    units = _units(project, kept, root)
    different = []
    for name, value in metrics.items():
        before = kept["metrics"].get(name, math.nan)
        timed = is_timed(name, units.get(name, ""))
        said = "a time or memory" if timed else "equal" if value == before else f"was {before:.6g}"
        if not timed and value != before and not changes:
            different.append(name)
        print(f"  {name:<28} {value:<12.6g} {said}")
    if different:
        print(f"not what training measured: {', '.join(different)}", file=sys.stderr)
    return int(bool(different))


def _units(project: Project, kept: dict[str, Any], root: Path) -> dict[str, str]:
    """The unit of each metric, taken from any table that runs the same function."""
    from regard_lab.experiment.table_file import read_table

    units: dict[str, str] = {}
    folder = project.folder(root)
    for name in project.tables(root):
        with contextlib.suppress(UserError):
            units |= dict(read_table(folder, name).spec(folder, kept["config"].get("scale", "quick")).metrics)
    return units

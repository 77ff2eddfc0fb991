"""What every project's kept runs must do: a cell is trained, measured again to the same bits, loaded, and run."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from regard_lab.experiment.cells import Cell
from regard_lab.experiment.kept_runs import evaluate, load_model, write_kept
from regard_lab.restamp import is_timed
from regard_lab.training.kept import keeping

TIMED = ("seconds_per_epoch", "seconds_per_step", "latency_ms", "train_time_s", "time_ms", "peak_mib", "ms_per_row")


def check_kept(
    run: Callable[[Any, Path], Any], config: Any, folder: Path, forget: Callable[[], None] = lambda: None
) -> nn.Module:
    """Train a cell with `keep=best`, compare what its weights measure, and return the model that `regard_lab.load` gives.

    `forget` empties the caches that another process would not have.
    """
    folder.mkdir(exist_ok=True)
    with keeping() as artefacts:
        metrics = run(config, folder).metrics
    paper = run.__module__.split(".")[1]
    schema = f"{type(config).__module__}:{type(config).__qualname__}"
    name = f"{run.__module__}:{run.__qualname__}"
    cell = Cell(paper, "single", "quick", "cell", {}, config.seed, name, schema, asdict(config), "", {})
    write_kept(cell, folder, metrics, artefacts, "best")
    forget()
    again = evaluate(folder, {}, Path.cwd())
    untimed = {one for one in metrics if one not in TIMED and not is_timed(one, "")}
    assert untimed
    assert {one: again[one] for one in untimed} == {one: metrics[one] for one in untimed}
    forget()
    model = load_model(folder)
    assert isinstance(model, nn.Module)
    assert not model.training
    return model

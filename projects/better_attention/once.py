"""Cells of ablations and controls: trained once for all tables that have the very same cell (width 32, 4 heads, 32 tokens stands in four)."""

import shutil
from dataclasses import replace
from pathlib import Path

from projects.better_attention.config import Config, modules
from projects.better_attention.folding import folding_error
from projects.better_attention.model import tokens_of
from projects.better_attention.train import train
from regard import cost
from regard_lab.common.files import read_json, write_json
from regard_lab.experiment.artefacts import artefact
from regard_lab.experiment.run_result import RunResult

MEASURED = "measured.json"


def measure(config: Config, folder: Path) -> RunResult:
    """What `train` measures, out of `runs/artefacts` if it is there."""
    made = artefact(
        make,
        config,
        [config.data.name],
        source=config.data.source,
        root=Path.cwd(),
        modules=modules(config),
    )
    found = read_json(made / MEASURED)
    return RunResult(metrics=found["metrics"], curves=found["curves"])


def make(config: Config, folder: Path) -> None:
    """Train, and leave metrics and curves."""
    measured = train(config, folder)
    write_json(folder / MEASURED, {"metrics": measured.metrics, "curves": measured.curves})
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def ablate(config: Config, folder: Path) -> RunResult:
    """`measure`, and of the attention layer by itself: `flop_ratio` to Standard, and `folding_error` (see `folding`)."""
    measured, model = measure(config, folder), config.model
    length = tokens_of(config.data)
    sizes = {"width": model.width, "heads": model.heads}
    also = {
        "flop_ratio": cost.flops(model.attention, **sizes, n=length) / cost.flops("softmax", **sizes, n=length),
        "folding_error": folding_error(model.attention, **sizes, length=length, seed=config.seed),
    }
    return replace(measured, metrics=measured.metrics | also)

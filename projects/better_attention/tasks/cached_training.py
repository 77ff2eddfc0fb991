"""Cells of ablations and controls: trained once for all tables that share the very same cell (width 32, 4 heads, 32 tokens stands in four)."""

from dataclasses import replace
from pathlib import Path

from projects.better_attention.analyses.weight_merging import merging_error
from projects.better_attention.config import Config, modules, tokens_of
from projects.better_attention.tasks import classification
from regard import cost
from regard_lab.common.files import read_json, write_json
from regard_lab.experiment.artefacts import artefact
from regard_lab.experiment.items import ItemisedResult
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.kept import discard_checkpoints

RESULT = "result.json"


def train(config: Config, folder: Path) -> RunResult:
    """What `classification.train` measures, read from `runs/artefacts` if it is there."""
    cached = artefact(
        train_to_file,
        config,
        [config.data.name],
        source=config.data.source,
        root=Path.cwd(),
        modules=modules(config),
    )
    result = read_json(cached / RESULT)
    return ItemisedResult(metrics=result["metrics"], curves=result["curves"], items=result["items"])


def train_to_file(config: Config, folder: Path) -> None:
    """Train, and leave metrics, curves and items in `folder`."""
    result = classification.train_classifier(config, folder)
    write_json(folder / RESULT, {"metrics": result.metrics, "curves": result.curves, "items": dict(result.items)})
    discard_checkpoints(folder)


def ablate(config: Config, folder: Path) -> RunResult:
    """`train`, and of the attention layer by itself: `flop_ratio` to Standard, and `folding_error` (see `analyses.weight_merging`)."""
    result, model = train(config, folder), config.model
    length = tokens_of(config.data)
    sizes = {"width": model.width, "heads": model.heads}
    layer = {
        "flop_ratio": cost.flops(model.attention, **sizes, n=length) / cost.flops("softmax", **sizes, n=length),
        "folding_error": merging_error(model.attention, **sizes, length=length, seed=config.seed),
    }
    return replace(result, metrics=result.metrics | layer)

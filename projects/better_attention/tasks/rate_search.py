"""A learning rate of each mechanism's own, chosen on the validation split from the same few values for all.

What a mechanism's parameters are decides which rate suits it: with one rate for all, tuned for standard attention or
for none, a table compares how well the rate fits. The search is part of the table: `search_seconds` is what its
trainings took. The test split is never looked at to choose.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from projects.better_attention.config import Config, Search, modules
from regard_lab.common.files import read_json, write_json
from regard_lab.experiment.artefacts import artefact
from regard_lab.experiment.items import ItemisedResult
from regard_lab.training.kept import discard_checkpoints

RESULT = "result.json"
Make = Callable[[Config, Path], None]


def with_chosen_rate(config: Config, search: Search, make: Make) -> ItemisedResult:
    """The result of a training at the best of the searched learning rates, with `learning_rate` and `search_seconds`.

    Each training is made once for all cells that ask for it: the search's own with its seed too.

    Args:
        config: With `search`.
        search: Its `search`.
        make: A module's function that trains a config without one, and leaves its result in a folder by `save`.
    """

    def result(rate: float, seed: int) -> dict[str, Any]:
        assert config.training is not None
        one = replace(config, search=None, seed=seed, training=replace(config.training, learning_rate=rate))
        data = config.data
        folder = artefact(make, one, [data.name], source=data.source, root=Path.cwd(), modules=modules(config))
        result: dict[str, Any] = read_json(folder / RESULT)
        return result

    tried = [result(rate, search.seed) for rate in search.learning_rates]
    best = least([found["curves"]["validation_loss"] for found in tried])
    rate = search.learning_rates[best]
    own = tried[best] if config.seed == search.seed else result(rate, config.seed)
    chosen = {"learning_rate": rate, "search_seconds": sum(seconds(found) for found in tried)}
    return ItemisedResult(own["metrics"] | chosen, own["curves"], own["exhibits"], own["items"])


def least(curves: Sequence[Sequence[float]]) -> int:
    """Which curve reaches the least value; the first of equals. One that is not a number (a training that fell apart) is never chosen for it."""
    lows = [min((value for value in curve if value == value), default=float("inf")) for curve in curves]
    return lows.index(min(lows))


def seconds(found: dict[str, Any]) -> float:
    """What a training's steps took, validation left out."""
    return float(found["metrics"]["seconds_per_epoch"]) * len(found["curves"]["validation_loss"])


def save(folder: Path, result: ItemisedResult) -> None:
    """Leave what `with_chosen_rate` reads, and no checkpoints."""
    parts = {
        "metrics": result.metrics,
        "curves": result.curves,
        "exhibits": result.exhibits,
        "items": {metric: list(values) for metric, values in result.items.items()},
    }
    write_json(folder / RESULT, parts)
    discard_checkpoints(folder)

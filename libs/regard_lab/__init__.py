"""What experiments share: data, training, cells, tables, claims and the report."""

from pathlib import Path
from typing import Any


def load(folder: Path | str, name: str = "") -> Any:
    """The trained model of a run whose weights were kept (`keep=best`), in evaluation mode on the CPU.

    Args:
        folder: The run's folder, which the training command prints.
        name: Which model to return if the run trains several. Default: the first.

    Raises:
        UserError: The folder holds no weights, or no model with that name.
    """
    from regard_lab.experiment.kept_runs import load_model

    return load_model(folder, name)

"""What TensorBoard shows of a finished cell: its config with its metrics (`hparams`), and its pictures for figures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from regard_lab.common.images import decode
from regard_lab.experiment.run_result import RunResult

FOLDER = "tensorboard"


def write_summaries(folder: Path, config: dict[str, Any], measured: RunResult) -> None:
    """Add them to the logs that a training has left below a cell's folder; a cell without such logs has nothing to add to."""
    if not (folder / FOLDER).is_dir():
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder / FOLDER)) as writer:
        metrics = {f"metrics/{name}": value for name, value in measured.metrics.items()}
        writer.add_hparams(flat(config), metrics, run_name=".")
        for name, picture in pictures_in(measured.exhibits):
            pixels = decode(picture)
            writer.add_image(name, pixels, dataformats="HWC" if pixels.ndim == 3 else "HW")


def flat(values: dict[str, Any], before: str = "") -> dict[str, str | int | float | bool]:
    """A config by dotted keys; lists and null as words."""
    found: dict[str, str | int | float | bool] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            found |= flat(value, f"{before}{name}.")
        else:
            found[before + name] = value if isinstance(value, str | int | float | bool) else str(value)
    return found


def pictures_in(exhibits: Any, name: str = "exhibits") -> Iterator[tuple[str, str]]:
    """The PNG pictures of a cell's exhibits (`regard_lab.common.images`), with their places."""
    if isinstance(exhibits, dict):
        for key, value in exhibits.items():
            yield from pictures_in(value, f"{name}/{key}")
    elif isinstance(exhibits, list):
        for number, value in enumerate(exhibits):
            yield from pictures_in(value, f"{name}/{number}")
    elif isinstance(exhibits, str) and exhibits.startswith("iVBORw0KGgo"):  # the eight bytes that begin a PNG
        yield name, exhibits

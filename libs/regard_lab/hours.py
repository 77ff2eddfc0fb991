"""`python -m regard_lab.hours [PAPER …]`: the GPU hours and memory that every table would take at a scale, by counted operations.

    hours = operations of a piece of work · how often the configs ask for it / a sustained rate

Each project counts its own work: `projects/<paper>/budget.py` has `works(table, cells)`, and `why_not(table)` for
tables that are not counted. Operations are those of matrix products and convolutions, 2 per multiply-add, counted by
torch on models without memory (device "meta"). Sorting and gathering, norms and reading data are not counted, although
they are not free. The results are thus orders of magnitude. Memory is that of one step on one device: weights,
gradients and the optimiser's two moments in float32, and what is kept for the backward pass. With `--write` the rows go
to `results/hours.json`, which the report reads.
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard_lab import data
from regard_lab.common.errors import UserError, command
from regard_lab.common.files import read_json, write_json
from regard_lab.experiment.config import typed
from regard_lab.experiment.experiment_file import check_scale
from regard_lab.experiment.project import Project, find_project, papers
from regard_lab.experiment.results import read_result, result_path
from regard_lab.experiment.table_file import read_table
from regard_lab.experiment.tables import compose_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

HOURS = Path("results/hours.json")
GIB = 2**30

# Of an H100 (NVIDIA's data sheet, SXM, dense): 67 TFLOPS in float32 and 989 in bfloat16; the share of it that is sustained [our choice].
PEAK, SHARE = {"32-true": 67e12, "bf16-mixed": 989e12}, {"32-true": 0.5, "bf16-mixed": 0.3}
OPTIMISED = 4  # float32 numbers per parameter while training: itself, its gradient, two moments


@dataclass(frozen=True)
class Work:
    """A piece of work: done `times` times, at `flops` each; `memory` is what one step of it holds, in bytes."""

    what: str
    times: int
    flops: float
    memory: float = 0.0


@dataclass(frozen=True)
class TableHours:
    """A table's work. `gpu_hours` at the share of peak in float32 and in bfloat16; `laptop_hours`: measured; `None` where there is no such run.

    `why_not` says why nothing is counted for a table without works.
    """

    paper: str
    table: str
    scale: str
    petaflop: float
    gpu_hours: Mapping[str, float]
    memory_gib: float
    laptop_hours: float | None
    works: Sequence[str]
    why_not: str | None = None


def hours_of(works: Iterable[Work], precision: str = "32-true") -> float:
    """The hours of works on one GPU at the stated share of its peak."""
    return sum(work.times * work.flops for work in works) / (SHARE[precision] * PEAK[precision]) / 3600


def memory_of(works: Iterable[Work]) -> float:
    """The largest memory that a step of any of the works holds, in GiB."""
    return max((work.memory for work in works), default=0.0) / GIB


def cells_of(project: Project, table: str, scale: str, root: Path) -> list[tuple[dict[str, Any], list[Any]]]:
    """Each row of a table with the typed config of each of its seeds; nothing is fingerprinted, so it takes no time."""
    file, tier = read_table(project.folder(root), table), check_scale(scale)
    seeds = range(file.to_run().seeds[tier])
    rows = compose_rows(project, root, file, tier)
    return [
        (key, [replace(typed(project.schema, row.config | {"seed": 0}), seed=seed) for seed in seeds])
        for key, row in rows
    ]


def why_not(project: Project, table: str) -> str | None:
    """A project's reason for counting nothing for a table (`budget.why_not`); `None` if it counts or has no budget."""
    budget = budget_of(project)
    return None if budget is None else budget.why_not(table)


def budget_of(project: Project) -> Any:
    """The module `projects/<paper>/budget.py`; `None` where there is none."""
    name = f"projects.{project.name}.budget"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


def works_of(project: Project, table: str, cells: Sequence[Any]) -> list[Work]:
    """The works of a table's cells, as its project counts them; none for a project that has no budget."""
    if (budget := budget_of(project)) is None:
        return []
    works: list[Work] = budget.works(table, cells)
    return works


def table_hours(paper: str, table: str, scale: str, root: Path) -> TableHours:
    """The hours and memory of one table at a scale."""
    project = find_project(paper, root)
    cells = [cell for _, row in cells_of(project, table, scale, root) for cell in row]
    works = works_of(project, table, cells)
    total = sum(work.times * work.flops for work in works)
    return TableHours(
        paper,
        table,
        scale,
        petaflop=total / 1e15,
        gpu_hours={precision: hours_of(works, precision) for precision in PEAK},
        memory_gib=memory_of(works),
        laptop_hours=measured(paper, table, root),
        works=sorted({work.what for work in works}),
        why_not=None if works else why_not(project, table),
    )


def measured(paper: str, table: str, root: Path) -> float | None:
    """The hours that the cells of the committed result at `laptop` took."""
    path = result_path(root, paper, table, "laptop")
    if not path.exists():
        return None
    return float(sum(record.get("wall_time_s", 0.0) for record in read_result(path).records.values())) / 3600


def page_rows(paper: str, root: Path) -> list[dict[str, Any]]:
    """The hours that a project's page shows for its tables, from `results/hours.json`; nothing if that is missing.

    Those of the laptop are read from the results themselves, which change more often.
    """
    path = root / HOURS
    rows = [row for row in read_json(path) if row["paper"] == paper] if path.exists() else []
    return [row | {"laptop_hours": measured(paper, row["table"], root)} for row in rows]


# Counting.


def examples(source: str, name: str, split: str, most: int | None = None) -> int:
    """The examples of a split by the data set's card, `most` at most: of the source, or of another one where a folder's sizes are open."""
    about = data.card(name)
    sizes = about.source(source).sizes or next((one.sizes for one in about.sources if one.sizes), {})
    if split not in sizes:
        raise UserError(f"the card of {name} gives no size for {split}; it has {', '.join(sizes) or 'none'}")
    return sizes[split] if most is None else min(sizes[split], most)


@dataclass(frozen=True)
class Count:
    """For one example: operations of the forward and backward pass, bytes kept in between; the model's parameters."""

    forward: int
    backward: int
    kept: int
    parameters: int

    def step_memory(self, batch: int) -> float:
        """The bytes of a training step on `batch` examples."""
        return 4.0 * OPTIMISED * self.parameters + batch * self.kept


_known: dict[Any, Any] = {}


def cached(key: Any, make: Callable[[], Any]) -> Any:
    """The result of `make`, computed once per key: configs are not hashable, so their `repr` stands for them."""
    if key not in _known:
        _known[key] = make()
    return _known[key]


def count(build: "Callable[[], nn.Module]", *shapes: tuple[tuple[int, ...], str]) -> Count:
    """Count a model on one example.

    Args:
        build: Makes the model; it is called where every tensor is without memory.
        shapes: Shape and torch's name of the type of each input.

    Returns:
        The counts, in evaluation mode: training's random draws involve no matrix products.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        model = build().eval()
        inputs = [torch.zeros(shape, dtype=getattr(torch, kind)) for shape, kind in shapes]
        with FlopCounterMode(display=False) as forward, kept_bytes(model) as kept:
            outputs = model(*inputs)
        with FlopCounterMode(display=False) as backward:
            total(outputs).backward()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Count(forward.get_total_flops(), backward.get_total_flops(), kept[0], parameters)


def total(outputs: Any) -> Any:
    """The sum of all floating numbers in the tensors of an output, nested as it may be."""
    import torch

    if isinstance(outputs, torch.Tensor):
        return outputs.sum() if outputs.requires_grad else 0
    if is_dataclass(outputs):
        outputs = vars(outputs)
    return sum(total(part) for part in (outputs.values() if isinstance(outputs, dict) else outputs))


@contextmanager
def kept_bytes(model: "nn.Module") -> "Iterator[list[int]]":
    """Counts the bytes that autograd keeps for the backward pass, each storage once, the model's own parameters not among them."""
    import torch

    sizes, seen = [0], {parameter.untyped_storage()._cdata for parameter in model.parameters()}
    held: list[Any] = []  # the address of a freed storage could be reused by another

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in seen:
            seen.add(storage._cdata)
            held.append(storage)
            sizes[0] += tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        yield sizes


def attention_difference(
    name: str, layers: int, *, width: int, heads: int, n: int, m: int | None = None, **options: Any
) -> int:
    """Forward FLOPs by formula, on one example, of `layers` layers of a mechanism beyond those of softmax attention."""
    from regard import cost

    own = cost.flops(name, width=width, heads=heads, n=n, m=m, **options)
    return layers * (own - cost.flops("softmax", width=width, heads=heads, n=n, m=m))


# Showing.


def show(rows: Sequence[TableHours]) -> str:
    """One line per table, and the sums."""
    lines = [f"{'table':<36}{'PFLOP':>10}{'float32 h':>11}{'bf16 h':>9}{'GiB':>8}{'laptop h':>10}  counted"]
    for row in rows:
        laptop = "" if row.laptop_hours is None else f"{row.laptop_hours:.2f}"
        hours = f"{row.gpu_hours['32-true']:>11,.2f}{row.gpu_hours['bf16-mixed']:>9,.2f}{row.memory_gib:>8,.1f}"
        lines.append(
            f"{f'{row.paper}/{row.table}':<36}{row.petaflop:>10,.0f}{hours}{laptop:>10}  {', '.join(row.works) or f'nothing: {row.why_not}'}"
        )
    sums = [sum(row.gpu_hours[precision] for row in rows) for precision in PEAK]
    lines.append(f"{'all':<36}{sum(row.petaflop for row in rows):>10,.0f}{sums[0]:>11,.2f}{sums[1]:>9,.2f}")
    return "\n".join([*lines, f"one H100 at {rates()}"])


def rates() -> str:
    """The shares of peak that hours are stated at, in words."""
    return " and ".join(f"{SHARE[one]:.0%} of {PEAK[one] / 1e12:.0f} TFLOPS ({one})" for one in PEAK)


@command
def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m regard_lab.hours", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("papers", nargs="*", metavar="PAPER", help="without any: all")
    parser.add_argument("--scale", default="paper", help="quick, laptop or paper (default)")
    parser.add_argument("--write", action="store_true", help=f"write {HOURS}, of all papers")
    arguments = parser.parse_args()
    root, scale = Path.cwd(), check_scale(arguments.scale)
    if arguments.write and (arguments.papers or scale != "paper"):
        raise UserError(
            f"--write is for {HOURS}, which has all papers at paper scale; leave out the papers and --scale"
        )
    projects = [find_project(paper, root) for paper in arguments.papers or papers(root)]
    rows = [table_hours(project.name, table, scale, root) for project in projects for table in project.tables(root)]
    print(show(rows))
    if arguments.write:
        write_json(root / HOURS, [asdict(row) for row in rows])
    return 0


if __name__ == "__main__":
    sys.exit(main())

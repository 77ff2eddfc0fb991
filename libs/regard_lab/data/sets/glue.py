"""GLUE: eight tasks on English sentences and pairs of them; their test labels were never published.

Splits are named after task and official split: `cola_train`, `cola_validation`, `mnli_validation_matched`, …
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.hub import load_hub
from regard_lab.data.sentences import Rated, Sentences

FORM = Sentences
HUB = "nyu-mll/glue"
FIELDS = {
    "cola": ("sentence", None),
    "mnli": ("premise", "hypothesis"),
    "mrpc": ("sentence1", "sentence2"),
    "qnli": ("question", "sentence"),
    "qqp": ("question1", "question2"),
    "rte": ("sentence1", "sentence2"),
    "sst2": ("sentence", None),
    "stsb": ("sentence1", "sentence2"),
}
SIZES = {
    "cola_train": 8_551,
    "cola_validation": 1_043,
    "mnli_train": 392_702,
    "mnli_validation_matched": 9_815,
    "mnli_validation_mismatched": 9_832,
    "mrpc_train": 3_668,
    "mrpc_validation": 408,
    "qnli_train": 104_743,
    "qnli_validation": 5_463,
    "qqp_train": 363_846,
    "qqp_validation": 40_430,
    "rte_train": 2_490,
    "rte_validation": 277,
    "sst2_train": 67_349,
    "sst2_validation": 872,
    "stsb_train": 5_749,
    "stsb_validation": 1_500,
}

ENTAILED = ("entailment", "not_entailment")


class Layout(NamedTuple):
    """How the official files of a task are laid out: their folder, and the columns of sentence, second sentence and label.

    `labels` are names by index, `None` where the label is a number. Without `head` the columns are given by their places.
    """

    folder: str
    first: str
    second: str | None
    label: str
    labels: tuple[str, ...] | None = None
    head: bool = True


LAYOUTS = {
    "cola": Layout("CoLA", "3", None, "1", head=False),
    "mnli": Layout("MNLI", "sentence1", "sentence2", "gold_label", ("entailment", "neutral", "contradiction")),
    "mrpc": Layout("MRPC", "#1 String", "#2 String", "Quality"),
    "qnli": Layout("QNLI", "question", "sentence", "label", ENTAILED),
    "qqp": Layout("QQP", "question1", "question2", "is_duplicate"),
    "rte": Layout("RTE", "sentence1", "sentence2", "label", ENTAILED),
    "sst2": Layout("SST-2", "sentence", None, "label"),
    "stsb": Layout("STS-B", "sentence1", "sentence2", "score"),
}
OFFICIAL = {
    "train": "train",
    "validation": "dev",
    "validation_matched": "dev_matched",
    "validation_mismatched": "dev_mismatched",
}

CARD = Card(
    name="glue",
    title="GLUE (General Language Understanding Evaluation), without WNLI",
    stands_in_for=None,
    licence="each task has terms of its own",
    citation="Wang, Singh, Michael, Hill, Levy, Bowman: GLUE: A Multi-Task Benchmark and Analysis Platform for NLU. ICLR 2019.",
    homepage="https://gluebenchmark.com",
    sources=(
        Source("hub", HUB, SIZES),
        Source(
            "folder",
            "CoLA/, MNLI/, … of the official download, each with train.tsv and dev.tsv; whole tasks may be missing",
            {},
        ),
    ),
    note=(
        "In no package. From a folder, tasks that it has not are left out; those it has are of the official sizes."
        " Scores of STS-B run from 0 to 5, those of the other tasks are indices of classes."
    ),
)


def from_hub() -> dict[str, Sentences]:
    """Every split with labels."""
    splits: dict[str, Sentences] = {}
    for task, (first, second) in FIELDS.items():
        halves = load_hub(HUB, task)
        for name in SIZES:
            if name.startswith(f"{task}_"):
                rows = halves[name.removeprefix(f"{task}_")]
                seconds = rows[second] if second else [""] * len(rows[first])
                splits[name] = Sentences.of(zip(rows[first], seconds, rows["label"], strict=True))
    return splits


def from_folder(folder: Path) -> dict[str, Sentences]:
    """Every split of the tasks that the folder has whole; each must have its official size."""
    splits: dict[str, Sentences] = {}
    for task, layout in LAYOUTS.items():
        names = [name for name in SIZES if name.startswith(f"{task}_")]
        paths = {name: folder / layout.folder / f"{OFFICIAL[name.removeprefix(f'{task}_')]}.tsv" for name in names}
        if all(path.exists() for path in paths.values()):
            splits |= {name: Sentences.of(rows_of(path, layout)) for name, path in paths.items()}
    if not splits:
        raise UserError(f"{folder} has no whole task; it holds {CARD.source('folder').where}")
    if wrong := [
        f"{name} {len(rows):,} (official: {SIZES[name]:,})" for name, rows in splits.items() if len(rows) != SIZES[name]
    ]:
        raise UserError(f"{folder} has splits of other sizes: {', '.join(wrong)}")
    return splits


def rows_of(path: Path, layout: Layout) -> Iterator[Rated]:
    """The rows of an official file; a row of QQP that lacks a field is left out, as the hub's set does.

    Raises:
        UserError: The file has other columns, or a row another label, with its line.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        head = next(lines, []) if layout.head else ["0", "1", "2", "3"]
        wanted = [name for name in (layout.first, layout.second, layout.label) if name is not None]
        if missing := [name for name in wanted if name not in head]:
            raise UserError(f"{path} has no column {', '.join(missing)}; it has {', '.join(head)[:200]}")
        places = [head.index(name) for name in wanted]
        for number, row in enumerate(lines, start=1 + layout.head):
            if len(row) <= max(places) and layout.folder == "QQP":
                continue
            try:
                first, *second, label = (row[place] for place in places)
                score = float(layout.labels.index(label)) if layout.labels else float(label)
            except (IndexError, ValueError):
                raise UserError(
                    f"line {number} of {path} is not a row of {layout.folder}: {' | '.join(row)[:80]!r}"
                ) from None
            yield first, second[0] if second else "", score

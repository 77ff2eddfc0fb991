"""Sizes and budgets of a result, from its records: how many runs, how large, how long, and on which machines."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regard_lab.experiment.results import Result
from regard_lab.report.records import flat

# The config keys that are sizes, by their last name, in the order of the page.
SIZES = [
    "train_examples",
    "train_texts",
    "train_scenes",
    "held_out_examples",
    "validation_texts",
    "test_texts",
    "test_scenes",
    "texts",
    "images",
    "epochs",
    "chunks",
    "chunk_steps",
    "batch_size",
    "learning_rate",
    "vocabulary",
    "length",
    "context",
    "tokens",
    "image_size",
    "width",
    "heads",
    "blocks",
    "layers",
    "encoder_layers",
    "decoder_layers",
    "feed_forward",
]
UNKNOWN = "not recorded"


@dataclass(frozen=True)
class Budget:
    """What a result cost, in words; `settings` are the sizes that all runs share, `varied` those in which they differ."""

    runs: int
    rows: int
    seeds: str
    time: str
    machines: str
    settings: list[tuple[str, str]]
    varied: list[tuple[str, str]]


def budget(result: Result) -> Budget:
    """Sum up the records of a result."""
    records = [result.records[cell] for row in result.rows for cell in row.cells if result.records.get(cell)]
    seeds = sorted({len(row.seeds) for row in result.rows if row.seeds})
    sizes: dict[str, set[str]] = {}
    for record in records:
        for path, text in _sizes(record):
            sizes.setdefault(path, set()).add(text)
    whole = {path: values for path, values in sizes.items() if values != {"none"}}
    named = {path: _named(path, whole) for path in whole}
    order = sorted(whole, key=lambda path: SIZES.index(path.rsplit(".", 1)[-1]))
    return Budget(
        runs=len(records),
        rows=len(result.rows),
        seeds=" to ".join(dict.fromkeys(str(end) for end in (seeds[0], seeds[-1]))) if seeds else "no",
        time=duration(sum(float(record.get("wall_time_s") or 0) for record in records)),
        machines="; ".join(_machines(records)) or UNKNOWN,
        settings=[(named[path], _plain(next(iter(whole[path])))) for path in order if len(whole[path]) == 1],
        varied=[(named[path], _span(whole[path])) for path in order if len(whole[path]) > 1],
    )


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, with two figures."""
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else "under a second"


def _sizes(record: Mapping[str, Any]) -> list[tuple[str, str]]:
    config = record.get("identity", {}).get("config", {})
    return [(path, text) for path, text in flat(config) if path.rsplit(".", 1)[-1] in SIZES]


def _named(path: str, whole: Mapping[str, object]) -> str:
    """The last name in words, together with the one before it if another size has the same last name."""
    before, _, last = path.rpartition(".")
    twins = sum(other.rsplit(".", 1)[-1] == last for other in whole)
    inside = before.replace("fitting", "").strip(".").rsplit(".", 1)[-1] if twins > 1 else ""
    return f"{inside} {last}".replace("_", " ").strip()


def _machines(records: list[dict[str, Any]]) -> list[str]:
    """Processors by how many runs they made; the number is given if there are several."""
    counts = Counter(_machine(record) for record in records)
    counts.pop("", None)
    return [name if len(counts) == 1 else f"{name} ({count} runs)" for name, count in counts.most_common()]


def _machine(record: Mapping[str, Any]) -> str:
    environment = record.get("environment") or {}
    return str(environment.get("processor") or environment.get("device") or record.get("device") or "")


def _plain(text: str) -> str:
    try:
        return f"{float(text):,.6g}" if "," not in text else text
    except ValueError:
        return text


def _span(values: set[str]) -> str:
    try:
        numbers = sorted(float(value) for value in values if value != "none")
    except ValueError:
        return ", ".join(sorted(values))
    return " to ".join(dict.fromkeys(f"{end:,.6g}" for end in (numbers[0], numbers[-1])))

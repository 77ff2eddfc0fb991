"""What can be recomputed from the paper's own numbers: its index, the index's constants, its correlations, its efficiency lengths.

    z = ± (x − μ) / σ          minus where lower is better; μ and σ are frozen
    task    = mean of the z of its metrics
    pattern = mean of its tasks

Every published number comes from the tables `raw_*` and `published_*`; only what we inferred from them is here (`PENALTIES`, `TURNED`).
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from statistics import correlation as pearson

from projects.cab.analyses.z_scores import Constant, mean_z
from projects.cab.config import FOLDER, Config, Published
from regard.bench.fits import CAB_LENGTHS, CAB_TIME_LENGTHS, efficiency_length
from regard_lab.common.formatting import Key
from regard_lab.evidence.paper import Paper, load_paper
from regard_lab.experiment.run_result import RunResult

TTS, SUM = ("tts_mcd", "tts_msd"), ("rouge_1", "rouge_2", "rouge_l")
TASKS: dict[str, dict[str, tuple[str, ...]]] = {
    "noncausal_self": {
        "tts": ("fs2_mcd", "fs2_msd", *TTS),
        "sum": SUM,
        "sr": ("psnr", "ssim"),
        "mlm": ("mlm_perplexity",),
    },
    "causal_self": {"tts": TTS, "sum": SUM, "lm": ("lm_perplexity",)},
    "noncausal_cross": {
        "pcc": ("cd_l1", "cd_l2", "f_score"),
        "lstf": ("ett_mse", "ett_mae", "weather_mse", "weather_mae", "ecl_mse", "ecl_mae"),
    },
    "causal_cross": {"tts": TTS, "sum": SUM},
}
AVERAGE = "average"
# The attentions that were not in the population when the constants were taken.
LATER = {"noncausal_self": {"flash"}, "causal_self": {"flash", "s4d", "abc_readme"}}
NOT_IN_FIGURES = ("flash", "abc_readme")  # added after them; the same runs as abc with another number for one
# What the figures of correlations seem to use beside the leaderboards: our inference, see the note of the table.
PENALTIES = {
    ("noncausal_self", "sum", "s4d"): -2.24,
    ("causal_self", "lm", "softmax"): -3.06,
    ("causal_self", "", "softmax"): -0.77,
}
TURNED = {("causal_self", "tts", "local")}


def leaderboard(config: Config, folder: Path) -> RunResult:
    """An attention's index in every task of its pattern, their average, and the largest difference to the leaderboard's numbers."""
    attention = section_of(config).attention
    assert attention is not None
    tasks = recomputed(config.pattern, attention)
    printed = published(f"published_{config.pattern}", {"attention": attention})
    off = {task: abs(value - known) for task, value in tasks.items() if (known := printed[task]) is not None}
    return RunResult({**tasks, "largest_difference": max(off.values())})


def single(config: Config, folder: Path) -> RunResult:
    """An attention's index in one task, where it lacks another of its pattern, and the difference to the leaderboard."""
    section = section_of(config)
    assert section.attention is not None
    assert section.task is not None
    value = recomputed(config.pattern, section.attention)[section.task]
    key: Key = {"attention": section.attention, "pattern": config.pattern, "task": section.task}
    printed = published("published_single", key)["index"]
    assert printed is not None
    return RunResult({"index": value, "difference": value - printed})


def constants(config: Config, folder: Path) -> RunResult:
    """How far the shipped constants of a pattern are from mean and sample standard deviation of the raw metrics."""
    frozen, again = shipped(config.pattern), recomputed_constants(config.pattern)
    means = [abs(again[name].mean - constant.mean) / again[name].sd for name, constant in frozen.items()]
    deviations = [100 * abs(again[name].sd / constant.sd - 1) for name, constant in frozen.items()]
    return RunResult(
        {"metrics": float(len(frozen)), "mean_off": max(means), "deviation_off": max(deviations)},
        exhibits={"constants": {name: [constant.mean, constant.sd] for name, constant in again.items()}},
    )


def correlations(config: Config, folder: Path) -> RunResult:
    """The correlation of two patterns over the attentions that they share, and how far the printed correlations of their tasks are off."""
    section = section_of(config)
    assert section.first is not None
    assert section.second is not None
    plain, undone = (correlation(section.first, section.second, undone=undo) for undo in (False, True))
    assert plain is not None
    assert undone is not None
    shared = columns(section.first, False).keys() & columns(section.second, False).keys()
    off: dict[bool, list[float]] = {False: [], True: []}
    again: dict[str, float] = {}
    for row in paper().tables["raw_correlations"].rows:
        pair, printed = [str(row.key["first"]), str(row.key["second"])], row.values["correlation"]
        if printed is None or [name.partition(".")[0] for name in pair] != [section.first, section.second]:
            continue
        for undo, differences in off.items():
            value = correlation(*pair, undone=undo)
            if value is not None:
                differences.append(abs(value - printed))
                again |= {" × ".join(pair): value} if undo else {}
    return RunResult(
        {
            "correlation": plain,
            "undone": undone,
            "attentions": float(len(shared)),
            "tasks_off": max(off[False]),
            "tasks_off_undone": max(off[True]),
        },
        exhibits={"tasks": again},
    )


def correlation(first: str, second: str, *, undone: bool) -> float | None:
    """Pearson's correlation of two columns over the attentions that they share; `None` for fewer than two."""
    a, b = columns(first, undone), columns(second, undone)
    shared = sorted(a.keys() & b.keys())
    return pearson([a[name] for name in shared], [b[name] for name in shared]) if len(shared) > 1 else None


def efficiency(config: Config, folder: Path) -> RunResult:
    """The length from which an attention costs less than vanilla, by the fits of `regard.bench.fits` to the paper's costs."""
    section = section_of(config)
    assert section.attention is not None
    assert section.cost is not None
    vanilla, own = (costs(name, section.cost) for name in ("softmax", section.attention))
    lengths = CAB_TIME_LENGTHS if section.cost == "time" else CAB_LENGTHS
    length = efficiency_length(vanilla, own, line_lengths=lengths)
    if length is None:
        raise ArithmeticError(f"the fits of {section.attention}'s {section.cost} and of vanilla's do not cross")
    return RunResult({"efficiency_length": length})


def recomputed(pattern: str, attention: str) -> dict[str, float]:
    """The index of every task that an attention has numbers for, and their average if it has all, from the raw metrics."""
    row, frozen = raw(pattern)[attention], shipped(pattern)
    tasks: dict[str, float] = {}
    for task, metrics in TASKS[pattern].items():
        values = {metric: row[metric] for metric in metrics}
        known = {metric: value for metric, value in values.items() if value is not None}
        if len(known) == len(values):
            tasks[task] = mean_z(known, {metric: frozen[metric] for metric in known})
    if len(tasks) == len(TASKS[pattern]):
        tasks[AVERAGE] = sum(tasks.values()) / len(tasks)
    return tasks


def columns(name: str, undone: bool) -> dict[str, float]:
    """A column of the correlation figures by attention.

    Args:
        name: `causal_self` (the index of a pattern) or `causal_self.tts` (of a task).
        undone: Whether the slips that the figures seem to have are put in.
    """
    pattern, _, task = name.partition(".")
    values = {
        str(row.key["attention"]): value
        for row in paper().tables[f"published_{pattern}"].rows
        if (value := row.values[task or AVERAGE]) is not None and row.key["attention"] not in NOT_IN_FIGURES
    }
    for row in paper().tables["published_single"].rows:
        if (row.key["pattern"], row.key["task"]) == (pattern, task) and (value := row.values["index"]) is not None:
            values[str(row.key["attention"])] = value
    if undone:
        values |= {
            attention: value
            for (own_pattern, own_task, attention), value in PENALTIES.items()
            if (own_pattern, own_task) == (pattern, task)
        }
        values |= {
            attention: -values[attention]
            for own_pattern, own_task, attention in TURNED
            if (own_pattern, own_task) == (pattern, task)
        }
    return values


def raw(pattern: str) -> dict[str, Mapping[str, float | None]]:
    """The published metrics of a pattern by attention; `None` where there is no number."""
    return {str(row.key["attention"]): row.values for row in paper().tables[f"raw_{pattern}"].rows}


def shipped(pattern: str) -> dict[str, Constant]:
    """The constants of the released script for a pattern, by metric."""
    constants = {}
    for row in paper().tables["raw_constants"].rows:
        mean, sd = row.values["mean"], row.values["standard_deviation"]
        if row.key["pattern"] == pattern and mean is not None and sd is not None:
            constants[str(row.key["metric"])] = Constant(mean, sd)
    return constants


def recomputed_constants(pattern: str) -> dict[str, Constant]:
    """The constants of a pattern recomputed over the attentions that had a number when they were taken."""
    rows = [row for name, row in raw(pattern).items() if name not in LATER.get(pattern, set())]
    return {
        metric: Constant.of([value for row in rows if (value := row[metric]) is not None])
        for metric in shipped(pattern)
    }


def costs(attention: str, cost: str) -> dict[int, float]:
    """The published costs by length; their unit does not matter to a crossing."""
    row = published("raw_cost", {"attention": attention, "cost": cost})
    return {n: value for n in CAB_LENGTHS if (value := row[f"n_{n}"]) is not None}


def published(table: str, key: Key) -> Mapping[str, float | None]:
    """The published values of one row; a row that is not there is a `KeyError`."""
    row = paper().tables[table].row(key)
    if row is None:
        raise KeyError(f"table {table} has no row {key}")
    return row.values


@functools.cache
def paper() -> Paper:
    """The paper with its tables, read once per process."""
    return load_paper(FOLDER)


def section_of(config: Config) -> Published:
    """The section of the config that says what to recompute."""
    assert config.published is not None, "the table must compose experiment `published`"
    return config.published

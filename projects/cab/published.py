"""What the paper's own numbers let anybody recompute: its index, the constants of it, its correlations, its efficiency lengths.

    z = ± (x − μ) / σ          minus where lower is better; μ and σ are frozen
    task    = mean of the z of its metrics
    pattern = mean of its tasks

Every published number comes from the tables `raw_*` and `published_*` of `tables/`; only what was inferred from them stands here
(`PENALTIES`, `TURNED`).
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from statistics import correlation as pearson

from projects.cab.config import Config, Published
from projects.cab.index import Constant, mean_z
from regard.bench.fits import CAB_LENGTHS, CAB_TIME_LENGTHS, efficiency_length
from regard_lab.common.formatting import Key
from regard_lab.evidence.paper import Paper, load_paper
from regard_lab.experiment.run_result import RunResult

FOLDER = Path(__file__).parent
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
# Who was no part of the population when the constants were taken.
LATER = {"noncausal_self": {"flash"}, "causal_self": {"flash", "s4d", "abc_readme"}}
NOT_IN_FIGURES = ("flash", "abc_readme")  # added after them; the same runs as abc with another number for one
# What the figures of correlations seem to hold beside the leaderboards: our inference, see the note of the table.
PENALTIES = {
    ("noncausal_self", "sum", "s4d"): -2.24,
    ("causal_self", "lm", "softmax"): -3.06,
    ("causal_self", "", "softmax"): -0.77,
}
TURNED = {("causal_self", "tts", "local")}


def leaderboard(config: Config, folder: Path) -> RunResult:
    """An attention's index in every task of its pattern, their average, and the largest difference to the leaderboard's numbers."""
    attention = asked(config).attention
    assert attention is not None
    found = recomputed(config.pattern, attention)
    printed = published(f"published_{config.pattern}", {"attention": attention})
    off = {task: abs(value - known) for task, value in found.items() if (known := printed[task]) is not None}
    return RunResult({**found, "largest_difference": max(off.values())})


def single(config: Config, folder: Path) -> RunResult:
    """An attention's index in one task, where it lacks another of its pattern, and the difference to the leaderboard."""
    wanted = asked(config)
    assert wanted.attention is not None
    assert wanted.task is not None
    value = recomputed(config.pattern, wanted.attention)[wanted.task]
    key: Key = {"attention": wanted.attention, "pattern": config.pattern, "task": wanted.task}
    printed = published("published_single", key)["index"]
    assert printed is not None
    return RunResult({"index": value, "difference": value - printed})


def constants(config: Config, folder: Path) -> RunResult:
    """How far the shipped constants of a pattern are from mean and sample standard deviation of the raw metrics."""
    frozen, again = shipped(config.pattern), retaken(config.pattern)
    means = [abs(again[name].mean - each.mean) / again[name].sd for name, each in frozen.items()]
    deviations = [100 * abs(again[name].sd / each.sd - 1) for name, each in frozen.items()]
    return RunResult(
        {"metrics": float(len(frozen)), "mean_off": max(means), "deviation_off": max(deviations)},
        exhibits={"constants": {name: [each.mean, each.sd] for name, each in again.items()}},
    )


def correlations(config: Config, folder: Path) -> RunResult:
    """The correlation of two patterns over the attentions that they share, and how far the printed correlations of their tasks are off."""
    wanted = asked(config)
    assert wanted.first is not None
    assert wanted.second is not None
    plain, undone = (correlation(wanted.first, wanted.second, undone=each) for each in (False, True))
    assert plain is not None
    assert undone is not None
    shared = columns(wanted.first, False).keys() & columns(wanted.second, False).keys()
    off: dict[bool, list[float]] = {False: [], True: []}
    again: dict[str, float] = {}
    for row in paper().tables["raw_correlations"].rows:
        pair, printed = [str(row.key["first"]), str(row.key["second"])], row.values["correlation"]
        if printed is None or [name.partition(".")[0] for name in pair] != [wanted.first, wanted.second]:
            continue
        for each, differences in off.items():
            value = correlation(*pair, undone=each)
            if value is not None:
                differences.append(abs(value - printed))
                again |= {" × ".join(pair): value} if each else {}
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
    wanted = asked(config)
    assert wanted.attention is not None
    assert wanted.cost is not None
    vanilla, own = (costs(each, wanted.cost) for each in ("softmax", wanted.attention))
    lengths = CAB_TIME_LENGTHS if wanted.cost == "time" else CAB_LENGTHS
    found = efficiency_length(vanilla, own, line_lengths=lengths)
    if found is None:
        raise ArithmeticError(f"the fits of {wanted.attention}'s {wanted.cost} and of vanilla's do not cross")
    return RunResult({"efficiency_length": found})


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
    """A column of the correlation figures by attention: `causal_self` (index of a pattern) or `causal_self.tts` (of a task)."""
    pattern, _, task = name.partition(".")
    found = {
        str(row.key["attention"]): value
        for row in paper().tables[f"published_{pattern}"].rows
        if (value := row.values[task or AVERAGE]) is not None and row.key["attention"] not in NOT_IN_FIGURES
    }
    for row in paper().tables["published_single"].rows:
        if (row.key["pattern"], row.key["task"]) == (pattern, task) and (value := row.values["index"]) is not None:
            found[str(row.key["attention"])] = value
    if undone:
        found |= {who: value for (place, of, who), value in PENALTIES.items() if (place, of) == (pattern, task)}
        found |= {who: -found[who] for place, of, who in TURNED if (place, of) == (pattern, task)}
    return found


def raw(pattern: str) -> dict[str, Mapping[str, float | None]]:
    """The published metrics of a pattern by attention; `None` where there is no number."""
    return {str(row.key["attention"]): row.values for row in paper().tables[f"raw_{pattern}"].rows}


def shipped(pattern: str) -> dict[str, Constant]:
    """The constants of the released script for a pattern, by metric."""
    found = {}
    for row in paper().tables["raw_constants"].rows:
        mean, sd = row.values["mean"], row.values["standard_deviation"]
        if row.key["pattern"] == pattern and mean is not None and sd is not None:
            found[str(row.key["metric"])] = Constant(mean, sd)
    return found


def retaken(pattern: str) -> dict[str, Constant]:
    """The constants of a pattern taken anew, over the attentions that had a number when they were taken."""
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


def asked(config: Config) -> Published:
    """The section of the config that says what to recompute."""
    assert config.published is not None, "the table must compose experiment `published`"
    return config.published

"""Table `interventions`: is the effective part sufficient, necessary, minimal? And does attention matter at all? (C4, C5, C6, C8)

Kept: the replacement stands in for the attention. Removed: the attention is left without it, A − X. A definition that keeps the output changes
nothing when it is kept, by construction; the controls give the scale, and what its removal does is the size of all that attention says.
"""

from pathlib import Path

import torch

from projects.explaining.config import Config
from projects.explaining.looked import Looked, looked, mean, percent
from projects.explaining.measures import flips, jsd, tvd
from projects.explaining.minimality import VISIBLE, needed, rank_with_ones
from projects.explaining.replacements import replaced
from projects.explaining.training import uniform_accuracy
from regard_lab.experiment.run_result import RunResult

MOST_TEXTS = 12  # of which each weight is taken away in turn


def run(config: Config, folder: Path) -> RunResult:
    """One replacement in the explained layer of the texts."""
    uniform = uniform_accuracy(config, Path.cwd())
    found = looked(config, Path.cwd())
    with torch.no_grad():
        return measured(found, config, uniform)


def measured(found: Looked, config: Config, uniform: float) -> RunResult:
    seen = found.seen
    instead = replaced(config.analysis.attention, seen, found.special, config.seed)
    kept, removed = (found.probabilities(weights) for weights in (instead, seen.attention - instead))
    few = min(MOST_TEXTS, len(seen.mask))
    return RunResult(
        metrics={
            "kept_jsd": mean(jsd(kept, found.before)),
            "kept_tvd": mean(tvd(kept, found.before)),
            "kept_flips": percent(flips(kept, found.before)),
            "removed_jsd": mean(jsd(removed, found.before)),
            "removed_tvd": mean(tvd(removed, found.before)),
            "removed_flips": percent(flips(removed, found.before)),
            "support": mean((instead.abs() > VISIBLE).sum(-1)),
            "rank": mean(rank_with_ones(seen)),
            "norm": 100 * mean(instead.norm(dim=-1) / seen.attention.norm(dim=-1)),
            "needed": 100 * needed(instead[:few], seen.part(slice(few))),
            "longer": found.longer(),
            "accuracy": found.subject.accuracy,
            "uniform_accuracy": uniform,
        }
    )

"""Table `faithfulness`: the tests of attention as explanation, for raw and for effective attention (C9).

Jain & Wallace 2019: does a token's weight agree with its gradient, and with what leaving it out does; can weights be shuffled, or be made quite
different, without a change of the prediction? Wiegreffe & Pinter 2019: how good is a model with even weights, and how far apart are the weights
of two seeds? Serrano & Smith 2019: what does erasing weights do? Formulas only, none of the released code.

A weight of a token is the mean over heads. E1 and E2 can be negative: as numbers where an order or a product is asked for, without their negative
entries and made to sum to 1 where a test needs a distribution.
"""

from pathlib import Path

import torch

from projects.explaining import erasure, perturbation
from projects.explaining.config import Config
from projects.explaining.importance import gradient_importance, occlusion_importance
from projects.explaining.looked import Looked, looked, mean
from projects.explaining.measures import jsd, kendall, positive
from projects.explaining.replacements import replaced
from projects.explaining.training import uniform_accuracy
from regard_lab.experiment.run_result import RunResult

SIGNIFICANT = 0.05


def run(config: Config, folder: Path) -> RunResult:
    """Raw attention or one definition, on one set."""
    root, name = Path.cwd(), config.analysis.attention
    uniform = uniform_accuracy(config, root)
    other = looked(config, root, seed=config.seed + 1)
    found = looked(config, root)
    rows = replaced(name, found.seen, found.special, config.seed)
    rows_other = replaced(name, other.seen, other.special, config.seed)
    weights = rows.mean(1)
    few = min(config.analysis.occluded, len(weights))
    settings = config.analysis
    return RunResult(
        metrics={
            "tau_raw": agreement(found, weights, found.seen.attention.mean(1))[0],
            "jsd_raw": mean(jsd(positive(rows), found.seen.attention)),
            "special_mass": 100 * mean((weights * found.special).sum(-1)),
            **named("gradient", agreement(found, weights, gradient_importance(found))),
            **named("occlusion", agreement(found, weights[:few], occlusion_importance(found, few))),
            "permutation": perturbation.permutation(found, rows, settings.shuffles, config.seed),
            "adversary_jsd": perturbation.adversary(
                found, rows, settings.adversaries, settings.adversary_steps, config.seed
            ),
            "seeds_jsd": float(jsd(positive(rows.mean(1)), positive(rows_other.mean(1))).median()),
            **erasure.measures(found, positive(rows), config.seed),
            "longer": found.longer(),
            "accuracy": found.subject.accuracy,
            "uniform_accuracy": uniform,
        }
    )


def agreement(found: Looked, a: torch.Tensor, b: torch.Tensor) -> tuple[float, float]:
    """Kendall's τ of two importances (t, m) over each text's real tokens, special ones left out: its mean, and the share with p ≤ 0.05 in %."""
    each = []
    for text in range(len(a)):
        real = found.seen.mask[text] & ~found.special[text]
        if int(real.sum()) > 1:
            each.append(kendall(a[text], b[text], real))
    taus = torch.tensor([tau for tau, _ in each], dtype=torch.float64)
    return mean(taus), 100 * mean(torch.tensor([float(p <= SIGNIFICANT) for _, p in each]))


def named(what: str, found: tuple[float, float]) -> dict[str, float]:
    return {f"tau_{what}": found[0], f"significant_{what}": found[1]}

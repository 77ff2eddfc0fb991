"""Generators trained with attention on maps of two sizes, dense and with SMYRF: table and figure `celeba_training`."""

from pathlib import Path
from typing import TYPE_CHECKING

from projects.smyrf.tasks.gan.attention_swap import score_memory
from projects.smyrf.tasks.gan.generators import generator, pictures, snapshots, trained
from projects.smyrf.tasks.gan.scores import judge_of
from regard_lab.common.files import read_json
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Config


def train(config: "Config", folder: Path) -> RunResult:
    """Score every snapshot of a training with the cell's attention; the metrics are those of the last.

    score_entries      entries of the score matrix of one picture
    score_memory       the same, in % of dense attention on this map
    seconds_per_step   of training: one step of the generator with those of the discriminator, the median over chunks
    """
    assert config.gan is not None
    evaluation, side = config.gan.evaluation, config.gan.network.attention_resolution
    training = trained(config, config.attention)
    judge, scores, gamma = judge_of(config), [], 0.0
    for state in snapshots(training):
        model = generator(config.gan.network, state, config.attention)
        batches = pictures(model, evaluation.images, evaluation.batch_size, config.seed, evaluation.clamp)
        scores.append(judge.scores(batches, evaluation.images))
        gamma = abs(float(model.attention.gamma.detach()))
    share = score_memory(config.attention, side**2)
    return RunResult(
        metrics=scores[-1]
        | {
            "score_entries": share / 100 * side**4 / 4,
            "score_memory": share,
            "gamma": gamma,
            "seconds_per_step": float(read_json(training / "training.json")["seconds_per_step"]),
        },
        curves={"fid": [snapshot["fid"] for snapshot in scores]},
    )

"""What decides the weights, out of a cell's config; and the shape of texts beside every result."""

from statistics import fmean
from typing import TYPE_CHECKING

from projects.smyrf.text.config import Task
from projects.smyrf.text.finetuning import Trained

if TYPE_CHECKING:
    from projects.smyrf.config import Config


def trained_of(config: "Config", task: Task) -> Trained:
    """The weights that a cell trains on a task. For softmax, the sizes of SMYRF's clusters decide nothing."""
    attention, text = config.attention, config.text
    assert text is not None
    clustered = attention.name == "smyrf"
    return Trained(
        source=config.data.source,
        task=task,
        attention=attention.name,
        rounds=attention.rounds if clustered else 1,
        cluster_size=attention.cluster_size if clustered else 1,
        mask=text.training_mask,
        finetuning=text.finetuning,
        seed=config.seed,
    )


def shape(lengths: list[int], attention: str, cluster_size: int) -> dict[str, float]:
    """Tokens a text, and the share of texts with more tokens than a cluster, in %: on the others SMYRF is dense attention. 0 for softmax."""
    beyond = sum(length > cluster_size for length in lengths) if attention == "smyrf" else 0
    return {"mean_tokens": fmean(lengths), "clustered_texts": 100 * beyond / len(lengths)}

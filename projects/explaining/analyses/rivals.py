"""Table `rivals`: attention, raw and effective, beside other importances of tokens, by what erasing tokens does and by agreement with occlusion (C9).

Seven importances (`attributions`). Three are made of the explained layer's weights and are measured for the raw ones and for each definition:

    weights        the weights themselves, mean over heads
    norm           norm-based attention
    rollout        attention rollout, with these weights in the explained layer

Four do not use them, and are the same in each of these rows:

    gradient, gradient_input, integrated, occlusion

Each gets ERASER's comprehensiveness and sufficiency (`rationales`), and Kendall's τ with occlusion in place: the total
variation of the prediction, which has no sign, so that gradient × input and integrated gradients enter τ by their size.
Rationales are of the highest signed importance: evidence for the predicted class.

The row `permuted` is the control of all columns: each importance is shuffled among the text's free tokens, which ranks them at random.
"""

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from projects.explaining.analyses import attributions, rationales
from projects.explaining.analyses.distances import kendall
from projects.explaining.analyses.explained_layer import VALIDATION, ExplainedTexts, explained_texts, mean
from projects.explaining.analyses.replacements import replaced, shuffled
from projects.explaining.config import Config
from projects.explaining.tasks.classification import uniform_accuracy
from regard.effective import DEFINITIONS
from regard_lab.experiment.items import ItemisedResult

RANDOM = "permuted"
ATTENTIONS = ("raw", *DEFINITIONS, RANDOM)
REFERENCE = "occlusion"
UNSIGNED = ("gradient_input", "integrated")  # by their size where they are compared with what has no sign
FEWEST = 2  # free tokens of a text that can be ranked

Scores = dict[str, Tensor]  # name -> one value per text `(t)`, or per token `(t, m)`


def run(config: Config, folder: Path) -> ItemisedResult:
    """Raw attention, one definition, or the control, on one data set.

    Raises:
        ValueError: `analysis.attention` is none of these; before anything is trained.
    """
    name, root = config.analysis.attention, Path.cwd()
    if name not in ATTENTIONS:
        raise ValueError(f"here analysis.attention must be one of {', '.join(ATTENTIONS)}, got {name!r}")
    uniform = uniform_accuracy(config, root)
    texts = explained_texts(config, root)
    if name == RANDOM:
        scores = measured(texts, at_random(texts, importances(texts), config.seed), config.seed)
    else:
        weights = replaced(name, texts.layer, texts.special, config.seed)
        scores = measured(texts, of_weights(texts, weights), config.seed) | measured_without_weights(texts, config.seed)
    scores["completeness_error"] = integrated(texts).error
    for rival in ("integrated", "occlusion"):
        scores[f"weights_behind_{rival}"] = scores[f"comprehensiveness_{rival}"] - scores["comprehensiveness_weights"]
    return ItemisedResult(
        metrics={metric: mean(values) for metric, values in scores.items()}
        | {"longer": texts.longer(), "accuracy": texts.trained.accuracy, "uniform_accuracy": uniform},
        curves={VALIDATION: texts.trained.epochs},
        items={metric: values.tolist() for metric, values in scores.items()},
    )


def of_weights(texts: ExplainedTexts, weights: Tensor) -> Scores:
    """The importances that are made of the explained layer's weights `(t, h, m)`: `(t, m)` each."""
    return {
        "weights": weights.mean(1),
        "norm": attributions.norm_based(texts.layer, weights, attributions.output_projection(texts.model)),
        "rollout": attributions.rollout(texts, weights),
    }


def without_weights(texts: ExplainedTexts) -> Scores:
    """The importances that do not use them: `(t, m)` each."""
    gradient, gradient_input = attributions.gradients(texts)
    return {
        "gradient": gradient,
        "gradient_input": gradient_input,
        "integrated": integrated(texts).attributions,
        "occlusion": occluded(texts).drop,
    }


def importances(texts: ExplainedTexts) -> Scores:
    """All seven, of the model's own weights."""
    return of_weights(texts, texts.layer.attention) | without_weights(texts)


def at_random(texts: ExplainedTexts, scores: Scores, seed: int) -> Scores:
    """Importances `(t, m)`, each shuffled among the free tokens of each text in an order of its own."""
    generator = torch.Generator().manual_seed(seed)
    free = texts.layer.mask & ~texts.special
    return {name: shuffled(values[:, None], free, 1, generator)[0, :, 0] for name, values in scores.items()}


@lru_cache(maxsize=2)
def measured_without_weights(texts: ExplainedTexts, seed: int) -> Scores:
    """`measured` of the importances that are the same in all rows of a classifier."""
    return measured(texts, without_weights(texts), seed)


@lru_cache(maxsize=2)
def integrated(texts: ExplainedTexts) -> attributions.Integrated:
    """Integrated gradients; once for the rows of a table."""
    return attributions.integrated_gradients(texts)


@lru_cache(maxsize=2)
def occluded(texts: ExplainedTexts) -> attributions.Occluded:
    """Occlusion in place; once for the rows of a table."""
    return attributions.occlusion(texts)


def measured(texts: ExplainedTexts, scores: Scores, seed: int) -> Scores:
    """What is measured of each importance.

    Args:
        texts: The texts that are explained.
        scores: Importances `(t, m)` by name.
        seed: Of the numbers that decide between equal importances; the same for all of them.

    Returns:
        `comprehensiveness_…`, `sufficiency_…` and, but for occlusion itself, `tau_…`: `(t)` each, 0 for a text with fewer than two free tokens.
    """
    names = list(scores)
    free = texts.layer.mask & ~texts.special
    chance = torch.rand(free.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(free.device)
    change = occluded(texts).change
    totals = torch.zeros(3, len(names), len(free), dtype=torch.float64)
    for text, own in enumerate(free):
        if int(own.sum()) < FEWEST:
            continue
        n = int(texts.layer.mask[text].sum())  # padding is at the end
        orders = [rationales.ranked(scores[name][text], own, chance[text]) for name in names]
        chosen = torch.stack([rationales.rationales(order, n) for order in orders])
        totals[:2, :, text] = torch.stack(
            rationales.aopc(texts.model, texts.tokens[text, :n], own[:n], chosen, texts.predicted[text])
        ).cpu()
        for place, name in enumerate(names):
            size = scores[name][text].abs() if name in UNSIGNED else scores[name][text]
            totals[2, place, text] = kendall(size, change[text], own)[0]
    measures = ("comprehensiveness", "sufficiency", "tau")
    by_name = {
        f"{measure}_{name}": totals[row, place]
        for row, measure in enumerate(measures)
        for place, name in enumerate(names)
    }
    by_name.pop(f"tau_{REFERENCE}", None)
    return by_name

"""Table `definitions`: does a definition keep the output, is it a distribution, what does it remove, what does it cost? (C1, C2, C3)"""

import time
from pathlib import Path

import torch
from torch import Tensor

from projects.explaining.analyses.explained_layer import ExplainedTexts, cut, explained_texts, keeps, percent
from projects.explaining.analyses.replacements import effective
from projects.explaining.config import Config
from regard.bench.timing import synchronize
from regard.effective import DEFINITIONS, distributions, effective_attention, output_error
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.device import best_device

SHOWN = 48  # tokens of the text that figures show, or the nearest length that there is


def run(config: Config, folder: Path) -> RunResult:
    """One definition on the explained rows of the texts; and on every row of every layer, for the logits of one text.

    Raises:
        ValueError: `analysis.attention` is no definition; before anything is trained.
    """
    if config.analysis.attention not in DEFINITIONS:
        raise ValueError(
            f"here analysis.attention must be one of {', '.join(DEFINITIONS)}, got {config.analysis.attention!r}"
        )
    texts = explained_texts(config, Path.cwd())
    with torch.no_grad():
        return measure(texts, config)


def measure(texts: ExplainedTexts, config: Config) -> RunResult:
    """What the definition does to the explained rows."""
    layer = texts.layer
    began = now()
    rows = effective(config.analysis.attention, layer)
    spent = now() - began
    error = output_error(rows[:, :, None], layer.attention[:, :, None], layer.values)
    sums = (rows.sum(-1) - 1).abs()
    removed = (rows - layer.attention).norm(dim=-1) / layer.attention.norm(dim=-1)
    return RunResult(
        metrics={
            "output_error": float(error.max()),
            "output_kept": percent(keeps(error, layer.values)),
            "logit_error": logit_error(texts, config),
            "row_sum_error": float(sums.max()),
            "most_negative": float(rows.min().clamp(max=0)),
            "distributions": percent(distributions(rows)),
            "norm_removed": 100 * float(removed.mean()),
            "ms_per_row": 1000 * spent / rows[..., 0].numel(),
            "longer": texts.longer(),
            "accuracy": texts.trained.accuracy,
        },
        exhibits={"text": exhibit(texts, rows)},
    )


def now() -> float:
    """Seconds of this process's work, once what it has asked of a GPU is done."""
    synchronize()
    return time.perf_counter() if best_device().type != "cpu" else time.process_time()


def logit_error(texts: ExplainedTexts, config: Config) -> float:
    """How far the logits of one text move when every row of every layer is replaced; the text is cut to `analysis.rows` tokens."""
    tokens = cut(texts.tokens[longest(texts)][None], config.analysis.rows, texts.trained.words)

    def replace(index: int, attention: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        return effective_attention(attention, values, definition=config.analysis.attention, key_mask=mask)

    return float((texts.model(tokens, replace) - texts.model(tokens)).abs().max())


def longest(texts: ExplainedTexts) -> int:
    """The place of the text with the most tokens."""
    return int(texts.layer.mask.sum(-1).argmax())


def exhibit(texts: ExplainedTexts, rows: Tensor) -> dict[str, object]:
    """A text of a length that can be read, its words, and its weights (mean over heads) before and after."""
    right = texts.predicted.argmax(-1) == texts.labels
    distance = (texts.layer.mask.sum(-1) - SHOWN).abs() + torch.where(right, 0, 1000)
    text = int(distance.argmin())
    real = texts.layer.mask[text]
    return {
        "words": texts.words(text),
        "raw": rounded(texts.layer.attention[text].mean(0)[real]),
        "effective": rounded(rows[text].mean(0)[real]),
        "label": int(texts.labels[text]),
        "predicted": int(texts.predicted[text].argmax()),
        "probability": round(float(texts.predicted[text].max()), 4),
    }


def rounded(weights: Tensor) -> list[float]:
    """Weights as they travel in a record."""
    return [round(weight, 6) for weight in weights.tolist()]

"""Table `definitions`: does each definition keep the output, is it a distribution, what does it take away, what does it cost? (C1, C2, C3)"""

import time
from pathlib import Path

import torch
from torch import Tensor

from projects.explaining.config import Config
from projects.explaining.looked import Looked, cut, looked, percent
from projects.explaining.replacements import effective
from regard.effective import distributions, effective_attention, output_error
from regard_lab.experiment.run_result import RunResult

KEEPS = 1e-8  # of the output, beside values of size 1: a solver that did not arrive is far from it
SHOWN = 48  # tokens of the text that figures show, as near as one can get


def run(config: Config, folder: Path) -> RunResult:
    """One definition on the explained rows of the texts; and on every row of every layer, for the logits of one text."""
    found = looked(config, Path.cwd())
    with torch.no_grad():
        return measured(found, config)


def measured(found: Looked, config: Config) -> RunResult:
    seen, name = found.seen, config.analysis.attention
    began = time.process_time()
    rows = effective(name, seen)
    spent = time.process_time() - began
    error = output_error(rows[:, :, None], seen.attention[:, :, None], seen.values)
    sums = (rows.sum(-1) - 1).abs()
    removed = (rows - seen.attention).norm(dim=-1) / seen.attention.norm(dim=-1)
    return RunResult(
        metrics={
            "output_error": float(error.max()),
            "output_kept": percent(error <= KEEPS),
            "logit_error": logit_error(found, config),
            "row_sum_error": float(sums.max()),
            "most_negative": float(rows.min().clamp(max=0)),
            "distributions": percent(distributions(rows)),
            "norm_removed": 100 * float(removed.mean()),
            "ms_per_row": 1000 * spent / rows[..., 0].numel(),
            "longer": found.longer(),
            "accuracy": found.subject.accuracy,
        },
        exhibits={"text": exhibit(found, rows)},
    )


def logit_error(found: Looked, config: Config) -> float:
    """How far the logits of one text move when every row of every layer is replaced; the text is cut to `analysis.rows` tokens."""
    tokens = cut(found.tokens[longest(found)][None], config.analysis.rows, found.subject.words)

    def attend(place: int, attention: Tensor, values: Tensor, mask: Tensor) -> Tensor:
        return effective_attention(attention, values, definition=config.analysis.attention, key_mask=mask)

    return float((found.model(tokens, attend) - found.model(tokens)).abs().max())


def longest(found: Looked) -> int:
    return int(found.seen.mask.sum(-1).argmax())


def exhibit(found: Looked, rows: Tensor) -> dict[str, object]:
    """A text of a length that can be read, its words, and its weights (mean over heads) before and after."""
    right = found.before.argmax(-1) == found.labels
    distance = (found.seen.mask.sum(-1) - SHOWN).abs() + torch.where(right, 0, 1000)
    text = int(distance.argmin())
    real = found.seen.mask[text]
    return {
        "words": found.words(text),
        "raw": rounded(found.seen.attention[text].mean(0)[real]),
        "effective": rounded(rows[text].mean(0)[real]),
        "label": int(found.labels[text]),
        "predicted": int(found.before[text].argmax()),
        "probability": round(float(found.before[text].max()), 4),
    }


def rounded(weights: Tensor) -> list[float]:
    return [round(weight, 6) for weight in weights.tolist()]

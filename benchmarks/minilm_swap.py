"""SMYRF in the place of a trained sentence encoder's attention: how far do its embeddings move when nothing is retrained?

MiniLM-L6 (`regard_lab.models.minilm`) embeds texts with its own attention and with `regard-smyrf`: the first sentences
of 200 IMDB reviews, and the first 128 tokens of 200. A text of n tokens has clusters of ⌈part · n / rounds⌉, so that
the score memory is that part of the dense one, or a little more. The table holds the cosine similarity of each pair of
embeddings (mean of the last layer). In one cluster SMYRF is softmax attention.

    python -m regard_lab.models minilm && python -m regard_lab.data fetch imdb && python benchmarks/minilm_swap.py
"""

import csv
import io
import math
import re
import statistics
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

import regard
from regard.adapters import huggingface
from regard_lab import data, models
from regard_lab.common.errors import command
from regard_lab.common.files import write_atomically

ROOT = Path(__file__).resolve().parents[1]
RESULT = Path("benchmarks/results/minilm_swap.csv")
TEXTS, LEAST, MOST, BATCH, SEEDS = 200, 8, 128, 20, 3  # texts of each kind; tokens of a text, [CLS] and [SEP] with them
PARTS = [(0.25, 1), (0.25, 2), (0.5, 1), (0.5, 2), (1.0, 1)]  # of the dense score memory, rounds
SENTENCE_END = re.compile(r"(?<=[.!?])\s|<br")


def texts(root: Path) -> dict[str, list[list[int]]]:
    """Token ids of the two kinds, from the reviews of the test split in their order."""
    tokenizer = models.load_tokenizer("minilm", root)
    by_kind: dict[str, list[list[int]]] = {"first sentence": [], "first 128 tokens": []}
    for review in data.load("imdb", root)["test"].texts:
        sentence: list[int] = tokenizer(SENTENCE_END.split(review)[0], truncation=True, max_length=MOST)["input_ids"]
        beginning: list[int] = tokenizer(review, truncation=True, max_length=MOST)["input_ids"]
        if LEAST <= len(sentence) < MOST and len(by_kind["first sentence"]) < TEXTS:
            by_kind["first sentence"].append(sentence)
        if len(beginning) == MOST and len(by_kind["first 128 tokens"]) < TEXTS:
            by_kind["first 128 tokens"].append(beginning)
        if all(len(ids) == TEXTS for ids in by_kind.values()):
            break
    return by_kind


def batches(ids: list[list[int]]) -> list[Tensor]:
    """Texts of one length together, at most `BATCH` of them."""
    by_length: dict[int, list[list[int]]] = defaultdict(list)
    for row in ids:
        by_length[len(row)].append(row)
    return [batch for _, rows in sorted(by_length.items()) for batch in torch.tensor(rows).split(BATCH)]


@torch.inference_mode()
def embedding(model: Any, ids: Tensor) -> Tensor:
    """ids (b, n) -> the mean of the last layer, (b, 384)."""
    states: Tensor = model(ids).last_hidden_state
    return states.mean(1)


def swapped(
    model: Any, parts: list[Tensor], dense: list[Tensor], part: float, rounds: int, seed: int
) -> dict[str, Any]:
    """The cosine similarities of all texts, and the score memory that they took on the mean."""
    cosine: list[float] = []
    memory: list[float] = []
    for ids, expected in zip(parts, dense, strict=True):
        n = ids.shape[1]
        size = math.ceil(part * n / rounds)
        huggingface.configure(model, rounds=rounds, cluster_size=size, seed=seed)
        cosine += torch.cosine_similarity(expected, embedding(model, ids)).tolist()
        memory += [regard.cost.score_memory("smyrf", n=n, rounds=rounds, cluster_size=size)] * len(ids)
    return {
        "score_memory": f"{statistics.fmean(memory):.3f}",
        "cosine_mean": f"{statistics.fmean(cosine):.6f}",
        "cosine_least": f"{min(cosine):.6f}",
        "texts": len(cosine),
    }


def table(model: Any, ids: dict[str, list[list[int]]]) -> list[dict[str, Any]]:
    """A row for each kind of text, part of the memory, number of rounds and seed; one seed where there is one cluster."""
    runs = [(kind, *pair, seed) for kind in ids for pair in PARTS for seed in range(SEEDS if pair[0] < 1 else 1)]
    model.set_attn_implementation("sdpa")
    parts = {kind: batches(rows) for kind, rows in ids.items()}
    dense = {kind: [embedding(model, batch) for batch in parts[kind]] for kind in ids}
    model.set_attn_implementation("regard-smyrf")
    return [
        {"input": kind, "part": part, "rounds": rounds, "seed": seed}
        | swapped(model, parts[kind], dense[kind], part, rounds, seed)
        for kind, part, rounds, seed in tqdm(runs, desc="sizes and seeds", disable=None)
    ]


@command
def main() -> int:
    huggingface.register()
    rows = table(models.load("minilm", ROOT), texts(ROOT))
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(ROOT / RESULT, text.getvalue())
    print(text.getvalue() + f"written to {RESULT}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""GLUE: eight tasks on English sentences and pairs of them, from the Hugging Face hub alone; their test labels were never published.

Splits are named after task and official split: `cola_train`, `cola_validation`, `mnli_validation_matched`, …
"""

from regard_lab.data.card import Card, Source
from regard_lab.data.hub import load_hub
from regard_lab.data.sentences import Sentences

FORM = Sentences
HUB = "nyu-mll/glue"
FIELDS = {
    "cola": ("sentence", None),
    "mnli": ("premise", "hypothesis"),
    "mrpc": ("sentence1", "sentence2"),
    "qnli": ("question", "sentence"),
    "qqp": ("question1", "question2"),
    "rte": ("sentence1", "sentence2"),
    "sst2": ("sentence", None),
    "stsb": ("sentence1", "sentence2"),
}
SIZES = {
    "cola_train": 8_551,
    "cola_validation": 1_043,
    "mnli_train": 392_702,
    "mnli_validation_matched": 9_815,
    "mnli_validation_mismatched": 9_832,
    "mrpc_train": 3_668,
    "mrpc_validation": 408,
    "qnli_train": 104_743,
    "qnli_validation": 5_463,
    "qqp_train": 363_846,
    "qqp_validation": 40_430,
    "rte_train": 2_490,
    "rte_validation": 277,
    "sst2_train": 67_349,
    "sst2_validation": 872,
    "stsb_train": 5_749,
    "stsb_validation": 1_500,
}

CARD = Card(
    name="glue",
    title="GLUE (General Language Understanding Evaluation), without WNLI",
    stands_in_for=None,
    licence="each task has terms of its own",
    citation="Wang, Singh, Michael, Hill, Levy, Bowman: GLUE: A Multi-Task Benchmark and Analysis Platform for NLU. ICLR 2019.",
    homepage="https://gluebenchmark.com",
    sources=(Source("hub", HUB, SIZES),),
    note="In no package: from the hub only. Scores of STS-B run from 0 to 5, those of the other tasks are indices of classes.",
)


def from_hub() -> dict[str, Sentences]:
    """Every split with labels."""
    splits: dict[str, Sentences] = {}
    for task, (first, second) in FIELDS.items():
        halves = load_hub(HUB, task)
        for name in SIZES:
            if name.startswith(f"{task}_"):
                rows = halves[name.removeprefix(f"{task}_")]
                seconds = rows[second] if second else [""] * len(rows[first])
                splits[name] = Sentences.of(zip(rows[first], seconds, rows["label"], strict=True))
    return splits

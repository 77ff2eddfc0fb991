"""Translation, English to Spanish: the four mechanisms in encoder, decoder and cross attention of one encoder–decoder."""

import math
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from projects.better_attention.config import Config
from projects.better_attention.decoding import beam_search, greedy
from projects.better_attention.fitting import EVALUATION_BATCH, check_sequences, fitted, latency_ms
from projects.better_attention.subwords import LEAST, PADDING, decoded
from projects.better_attention.translation_data import Parallel, bilingual
from projects.better_attention.translation_scores import bleu, chrf, signatures
from projects.better_attention.translator import Translator
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.trainer import Task, evaluate, load_weights, loader


def train(config: Config, folder: Path) -> RunResult:
    """Train the configured translator and have it translate the test split, greedily and by beam search.

    Losses are in nats a target subword, END included, given the true ones before it; perplexity is their exponential. Weights are those of the epoch
    with the least validation loss; the last epoch's loss and greedy BLEU stand beside it. Seed 0 leaves the sentences to be shown.
    latency_ms is of one pass of the whole model over sources and true targets, not of a search.
    """
    how = config.translation
    assert how is not None
    pairs = bilingual(config.data, Path.cwd())
    train_part = tuple(tensor[: config.budget.train_examples] for tensor in pairs.splits["train"].tensors)
    parts = {"train": train_part, "validation": pairs.splits["validation"].tensors}
    torch.manual_seed(config.seed)
    model = Translator(config)
    task, history = fitted(model, score, parts, config, folder)
    test = pairs.splits["test"]
    load_weights(task, folder, "last")
    last_nats = nats_a_subword(task, test)
    last_texts = translated(model, pairs.target, test, greedy)
    load_weights(task, folder, "best")
    nats = nats_a_subword(task, test)
    texts = {
        "greedy": translated(model, pairs.target, test, greedy),
        "beam": translated(
            model, pairs.target, test, lambda model, sources: beam_search(model, sources, how.beam, how.length_penalty)
        ),
    }
    curves = {name: [epoch[name] for epoch in history.epochs] for name in ("train_loss", "validation_loss")}
    return RunResult(
        metrics={
            "attention_parameters": float(model.attention_parameters()),
            "test_loss": nats,
            "test_perplexity": math.exp(nats),
            "bleu": bleu(texts["beam"], test.target_texts),
            "bleu_greedy": bleu(texts["greedy"], test.target_texts),
            "chrf": chrf(texts["beam"], test.target_texts),
            "last_epoch_test_loss": last_nats,
            "last_epoch_bleu_greedy": bleu(last_texts, test.target_texts),
            "seconds_per_epoch": median([epoch["train_time_s"] for epoch in history.epochs]),
            "latency_ms": latency_ms(model, (test.sources, test.targets[:, :-1]), config.budget.repeats),
        },
        curves=curves,
        exhibits=exhibits(test, texts, how.shown, len(train_part[0])) if config.seed == 0 else {},
    )


def score(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Nats a subword over the batch, the loss; and a sentence's nats and subwords on average, to be summed over a split."""
    sources, targets = batch
    wanted = targets[:, 1:]
    real = wanted != PADDING
    assert isinstance(model, Translator)
    seen = model.decode(model.encode(sources), sources != PADDING, targets[:, :-1])
    logits = model.logits(seen[real])  # of real places alone: the output map is most of the work
    nats = F.cross_entropy(logits, wanted[real], reduction="sum")
    return {"loss": nats / real.sum(), "nats": nats / len(sources), "subwords": real.sum() / len(sources)}


def nats_a_subword(task: Task, split: Parallel) -> float:
    """The loss of a whole split, every subword with the same weight."""
    found = evaluate(task, loader(split.tensors, EVALUATION_BATCH))
    return found["nats"] / found["subwords"]


def translated(
    model: Translator, tokenizer: Tokenizer, split: Parallel, search: Callable[[Translator, Tensor], Tensor]
) -> list[str]:
    """The split's sources in the other language, in their order; sentences of like lengths are translated together."""
    model.eval()
    device = next(model.parameters()).device
    lengths = (split.sources != PADDING).sum(1)
    found: dict[int, str] = {}
    for places in lengths.argsort(stable=True).split(EVALUATION_BATCH):
        sources = split.sources[places, : int(lengths[places].max())].to(device)
        found |= zip(places.tolist(), decoded(tokenizer, search(model, sources).tolist()), strict=True)
    return [found[place] for place in range(len(lengths))]


def exhibits(split: Parallel, texts: dict[str, list[str]], shown: int, examples: int) -> dict[str, Any]:
    """`shown` sentences at equal distances over the split with their translations, and how all was scored."""
    places = [place * len(split.source_texts) // shown for place in range(min(shown, len(split.source_texts)))]
    return {
        "sentences": [
            {
                "source": split.source_texts[place],
                "reference": split.target_texts[place],
                **{name: each[place] for name, each in texts.items()},
            }
            for place in places
        ],
        "signatures": signatures(texts["beam"], split.target_texts),
        "pairs": {"train": examples, "test": len(split.source_texts)},
    }


def check(config: Config) -> None:
    """Raises ValueError or TypeError for a translator that cannot be."""
    how = config.translation
    assert how is not None
    check_sequences(config)
    for key, number in {"decoder_blocks": how.decoder_blocks, "beam": how.beam, "shown": how.shown}.items():
        if number < 1:
            raise ValueError(f"translation.{key} must be at least 1, got {number}")
    if how.length_penalty < 0:
        raise ValueError(f"translation.length_penalty must not be negative, got {how.length_penalty}")
    vocabulary, length = config.data.vocabulary or 0, config.data.length or 0
    if vocabulary < LEAST:
        raise ValueError(f"data.vocabulary must be at least {LEAST} (bytes and special subwords), got {vocabulary}")
    if how.beam > vocabulary:
        raise ValueError(f"translation.beam must not be above data.vocabulary, got {how.beam} and {vocabulary}")
    if length < 2:
        raise ValueError(f"data.length must be at least 2 (a subword and an end), got {length}")
    if config.model.norm != "post" or config.model.activation != "relu":
        raise ValueError(
            f"the translator has norm: post and activation: relu, got {config.model.norm!r} and {config.model.activation!r}"
        )
    with torch.device("meta"):  # builds every layer, so that the library's own checks speak, and allocates nothing
        Translator(config)

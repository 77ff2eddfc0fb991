"""Translation, English to Spanish, with the mechanism in encoder, decoder and cross attention; scored by sacrebleu (Post 2018)."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from projects.better_attention.config import Config
from projects.better_attention.data.pairs import Parallel, bilingual
from projects.better_attention.models.decoding import beam_search, greedy
from projects.better_attention.models.translator import Translator
from projects.better_attention.tasks.rate_search import save, with_chosen_rate
from projects.better_attention.tasks.training import Trained, train_model
from regard_lab.data.subsets import drawn
from regard_lab.data.subwords import PADDING, decode
from regard_lab.experiment.items import ItemisedResult
from regard_lab.experiment.run_result import RunResult

EVALUATION_BATCH = 128


def train(config: Config, folder: Path) -> RunResult:
    """`train_once` at the configured learning rate, or at the best of those that are to be searched."""
    if config.search is None:
        return train_once(config, folder)
    return with_chosen_rate(config, config.search, train_to_file)


def train_to_file(config: Config, folder: Path) -> None:
    """`train_once`, its result left in `folder`."""
    save(folder, train_once(config, folder))


def train_once(config: Config, folder: Path) -> ItemisedResult:
    """Train the configured translator and have it translate the test split, greedily and by beam search.

    Losses are in nats per target subword, END included, given the true ones before it; perplexity is their exponential.
    Weights are those of the epoch with the least validation loss; the last epoch's loss and greedy BLEU stand beside
    it. Seed 0 leaves sentences for a figure. latency_ms is of one pass of the whole model over sources and true
    targets, not of a search.

    Args:
        config: With the section `translation`.
        folder: Where checkpoints are kept, from which an interrupted run is resumed.
    """
    translation = config.translation
    assert translation is not None
    pairs = bilingual(config.data, Path.cwd())
    train_part = tuple(tensor[: config.budget.train_examples] for tensor in pairs.splits["train"].tensors)
    trained = train_model(
        config,
        folder,
        lambda: Translator(config.data, config.model, translation),
        score,
        train=train_part,
        validation=some(pairs.splits["validation"], config.budget.held_out_examples).tensors,
        batch_size=EVALUATION_BATCH,
    )
    model, test = trained.model, some(pairs.splits["test"], config.budget.held_out_examples)
    trained.use("last")
    last_nats = nats_per_subword(trained, test)
    last_texts = translate(model, pairs.target, test, greedy)
    trained.use("best")
    nats = nats_per_subword(trained, test)
    texts = {
        "greedy": translate(model, pairs.target, test, greedy),
        "beam": translate(
            model,
            pairs.target,
            test,
            lambda model, sources: beam_search(model, sources, translation.beam, translation.length_penalty),
        ),
    }
    return ItemisedResult(
        metrics={
            "test_loss": nats,
            "test_perplexity": math.exp(nats),
            "bleu": bleu(texts["beam"], test.target_texts),
            "bleu_greedy": bleu(texts["greedy"], test.target_texts),
            "chrf": chrf(texts["beam"], test.target_texts),
            "last_epoch_test_loss": last_nats,
            "last_epoch_bleu_greedy": bleu(last_texts, test.target_texts),
            **trained.costs((test.sources, test.targets[:, :-1]), config.budget.repeats),
        },
        curves=trained.curves("train_loss", "validation_loss"),
        exhibits=examples(test, texts, translation.shown, len(train_part[0])) if config.seed == 0 else {},
    )


def some(split: Parallel, size: int | None) -> Parallel:
    """`size` random pairs of a split, the same each time, or all of them."""
    if size is None:
        return split
    rows = drawn(range(len(split.sources)), size)
    texts = ([side[row] for row in rows] for side in (split.source_texts, split.target_texts))
    return Parallel(split.sources[rows], split.targets[rows], *texts)


def score(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Nats per subword of the batch, the loss; and the nats and subwords of a sentence on average, to be summed over a split."""
    sources, targets = batch
    following = targets[:, 1:]
    real = following != PADDING
    assert isinstance(model, Translator)
    features = model.decode(model.encode(sources), sources != PADDING, targets[:, :-1])
    logits = model.logits(features[real])  # at real positions alone: the output map is most of the work
    nats = F.cross_entropy(logits, following[real], reduction="sum")
    return {"loss": nats / real.sum(), "nats": nats / len(sources), "subwords": real.sum() / len(sources)}


def nats_per_subword(trained: Trained[Translator], split: Parallel) -> float:
    """The loss of a whole split, every subword with the same weight."""
    scores = trained.scores(split.tensors)
    return scores["nats"] / scores["subwords"]


def translate(
    model: Translator, tokenizer: Tokenizer, split: Parallel, search: Callable[[Translator, Tensor], Tensor]
) -> list[str]:
    """Translate a split's sources; sentences of similar lengths share a batch.

    Args:
        model: The translator.
        tokenizer: That of the targets.
        split: Whose sources are translated.
        search: `search(model, sources)` decodes a batch.

    Returns:
        The translations in the split's order.
    """
    model.eval()
    device = next(model.parameters()).device
    lengths = (split.sources != PADDING).sum(1)
    texts: dict[int, str] = {}
    for rows in torch.split(lengths.argsort(stable=True), EVALUATION_BATCH):
        sources = split.sources[rows, : int(lengths[rows].max())].to(device)
        texts |= zip(rows.tolist(), decode(tokenizer, search(model, sources).tolist()), strict=True)
    return [texts[row] for row in range(len(lengths))]


def examples(split: Parallel, texts: dict[str, list[str]], shown: int, train_pairs: int) -> dict[str, Any]:
    """What a cell leaves for a figure.

    Args:
        split: The test split.
        texts: Its translations, by the name of the search.
        shown: How many sentences are kept, evenly spaced over the split.
        train_pairs: How many pairs the model was trained on.

    Returns:
        The sentences with their translations, sacrebleu's signatures and the numbers of pairs.
    """
    total = len(split.source_texts)
    rows = [number * total // shown for number in range(min(shown, total))]
    return {
        "sentences": [
            {
                "source": split.source_texts[row],
                "reference": split.target_texts[row],
                **{search: translations[row] for search, translations in texts.items()},
            }
            for row in rows
        ],
        "signatures": signatures(texts["beam"], split.target_texts),
        "pairs": {"train": train_pairs, "test": total},
    }


def bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus BLEU in % with sacrebleu's defaults: 13a tokens, letter case kept, smoothed where an order has no match (Papineni et al. 2002)."""
    return float(BLEU().corpus_score(list(hypotheses), [list(references)]).score)


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Corpus chrF2 in % with sacrebleu's defaults: up to 6 characters, no words, spaces left out (Popović 2015)."""
    return float(CHRF().corpus_score(list(hypotheses), [list(references)]).score)


def signatures(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, str]:
    """sacrebleu's signatures of the two, version included; it has them only once something was scored."""
    signed = {}
    for name, metric in {"bleu": BLEU(), "chrf": CHRF()}.items():
        metric.corpus_score(list(hypotheses), [list(references)])
        signed[name] = str(metric.get_signature())
    return signed

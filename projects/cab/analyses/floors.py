"""What a referee would compute in ten minutes, on the very windows and sentences of a task (`regard_lab.evidence.floors`)."""

import math
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from projects.cab.config import Config, Speech
from projects.cab.data.clouds import cloud_pairs
from projects.cab.data.masking import MASK
from projects.cab.data.pictures import enlarged, picture_pairs, shrunk
from projects.cab.data.running_text import masked_windows, text_windows
from projects.cab.data.sentences import PADDING, sentence_pairs
from projects.cab.data.series import series_windows
from projects.cab.data.speech import SYMBOLS, Prompt, Reading, load_prompts, symbols_of, utterances
from projects.cab.data.summaries import articles
from projects.cab.tasks import completion, speech
from projects.cab.tasks.summarisation import rouge_of
from projects.cab.tasks.super_resolution import quality_of
from regard_lab.evidence import floors
from regard_lab.experiment.run_result import RunResult

SEASON = 24  # steps of an hour in a day; no window of the series here is shorter
Windows = dict[
    str, tuple[floors.Floats, floors.Floats]
]  # by split: known values (n, length, c) and those that followed (n, horizon, c)
FEW = 256  # points of a view that look for an object
Pairs = dict[str, tuple[Tensor, ...]]  # by split: views and their objects
Forecast = Callable[[Windows, int], floors.Floats]


def last_value(config: Config, folder: Path) -> RunResult:
    """The last value known, for all of the horizon."""
    return _forecast(config, lambda parts, horizon: floors.last_value(parts["test"][0], horizon))


def seasonal_naive(config: Config, folder: Path) -> RunResult:
    """The last day known, again and again."""
    return _forecast(config, lambda parts, horizon: floors.seasonal_naive(parts["test"][0], horizon, SEASON))


def window_mean(config: Config, folder: Path) -> RunResult:
    """The mean of the values known."""
    return _forecast(config, lambda parts, horizon: floors.window_mean(parts["test"][0], horizon))


def zero(config: Config, folder: Path) -> RunResult:
    """The mean of the training split, which is 0 after scaling."""
    return _forecast(config, lambda parts, horizon: np.zeros_like(floors.last_value(parts["test"][0], horizon)))


def ridge(config: Config, folder: Path) -> RunResult:
    """Ridge regression on each series' own window."""
    return _forecast(config, lambda parts, horizon: floors.ridge(parts["train"], parts["validation"], parts["test"][0]))


def _forecast(config: Config, forecast: Forecast) -> RunResult:
    """Mean squared and mean absolute errors of a forecast of the test windows, for each data set, and under plain names for a single one."""
    task = config.lstf
    assert task is not None
    metrics: dict[str, float] = {}
    for name in task.sets:
        windows = series_windows(name, config.data.source, task)
        parts = {split: (part[0].double().numpy(), part[-1].double().numpy()) for split, part in windows.items()}
        errors = forecast(parts, task.horizon) - parts["test"][1]
        metrics |= {f"{name}_mse": float(np.mean(errors**2)), f"{name}_mae": float(np.mean(np.abs(errors)))}
    if len(task.sets) == 1:
        metrics |= {metric.removeprefix(f"{task.sets[0]}_"): value for metric, value in metrics.items()}
    return RunResult(metrics)


def unigram(config: Config, folder: Path) -> RunResult:
    """The frequencies of subwords."""
    return _subwords(config, 1)


def bigram(config: Config, folder: Path) -> RunResult:
    """Two subwords, smoothed."""
    return _subwords(config, 2)


def trigram(config: Config, folder: Path) -> RunResult:
    """Three subwords, smoothed."""
    return _subwords(config, 3)


def fivegram(config: Config, folder: Path) -> RunResult:
    """Five subwords, smoothed."""
    return _subwords(config, 5)


def _subwords(config: Config, order: int) -> RunResult:
    """Perplexity per subword over the test windows, of which the first subword is context alone."""
    task = config.lm
    assert task is not None
    windows = text_windows(task, config.data.source)
    train, test = (list(windows[split][0].numpy()) for split in ("train", "test"))
    return RunResult({"perplexity": math.exp(floors.ngram_loss(train, test, task.vocabulary, order, given=1))})


def masked_unigram(config: Config, folder: Path) -> RunResult:
    """The frequencies of subwords, at those that are asked for."""
    return _masked(config, sides=False)


def masked_neighbours(config: Config, folder: Path) -> RunResult:
    """Both neighbours as the model sees them, each by its bigrams: p(w | left) p(w | right) / p(w), brought to a sum of one."""
    return _masked(config, sides=True)


def _masked(config: Config, *, sides: bool) -> RunResult:
    """Perplexity and accuracy per subword that is asked for of the test windows."""
    task = config.mlm
    assert task is not None
    parts = masked_windows(task, config.data.source)
    train = parts["train"][0].numpy().astype(np.int64)
    seen, chosen, windows = (part.numpy().astype(np.int64) for part in parts["test"])
    unigrams = np.bincount(train.ravel(), minlength=task.vocabulary) + 1.0
    unigrams /= unigrams.sum()
    after, before = (
        neighbour_counts(train[:, :-1], train[:, 1:], task.vocabulary),
        neighbour_counts(train[:, 1:], train[:, :-1], task.vocabulary),
    )
    nats, right = [], []
    for row, places in enumerate(chosen):
        logs = np.tile(np.log(unigrams), (len(places), 1))
        if sides:
            for counts, step in ((after, -1), (before, 1)):
                there = places + step
                known = (there >= 0) & (there < windows.shape[1])
                known[known] = seen[row, there[known]] != MASK
                logs[known] += np.log(witten_bell(counts, seen[row, there[known]], unigrams) / unigrams)
            logs -= np.log(np.exp(logs).sum(1, keepdims=True))
        answers = windows[row, places]
        nats.append(-logs[np.arange(len(places)), answers])
        right.append(logs.argmax(1) == answers)
    return RunResult({"perplexity": math.exp(float(np.mean(nats))), "accuracy": 100 * float(np.mean(right))})


def neighbour_counts(given: floors.Ints, follows: floors.Ints, vocabulary: int) -> sparse.csr_matrix:
    """How often each subword stands beside each: `(vocabulary, vocabulary)`, a row per given one."""
    ones = np.ones(given.size)
    return sparse.csr_matrix((ones, (given.ravel(), follows.ravel())), shape=(vocabulary, vocabulary))


def witten_bell(counts: sparse.csr_matrix, given: floors.Ints, unigrams: floors.Floats) -> floors.Floats:
    """p(w | given) for every w, `(len(given), vocabulary)`, interpolated with unigrams (Witten and Bell 1991)."""
    rows = np.asarray(counts[given].todense())
    kinds = (rows > 0).sum(1, keepdims=True)
    total = rows.sum(1, keepdims=True)
    seen = total > 0
    smoothed = (rows + np.where(seen, kinds, 1) * unigrams) / np.where(seen, total + kinds, 1)
    return np.asarray(smoothed)


def bicubic(config: Config, folder: Path) -> RunResult:
    """The small picture, enlarged by cubic interpolation: what a model sees."""
    return _enlarged(config, "bicubic")


def nearest(config: Config, folder: Path) -> RunResult:
    """The small picture in larger pixels."""
    return _enlarged(config, "nearest")


def _enlarged(config: Config, mode: str) -> RunResult:
    """PSNR and SSIM of the test pictures."""
    task = config.sr
    assert task is not None
    _, wanted = picture_pairs(task, config.data.source)["test"]
    quality = quality_of(enlarged(shrunk(wanted, task.low), task.high, mode), wanted)
    return RunResult({name: float(values.mean()) for name, values in quality.items()})


def view_itself(config: Config, folder: Path) -> RunResult:
    """The view, as if nothing were missing."""
    return _completed(config, lambda parts, view: view)


def nearest_object(config: Config, folder: Path) -> RunResult:
    """The training object to which a view's points are nearest, and the view."""

    def found(parts: Pairs, view: Tensor) -> Tensor:
        known = parts["train"][1]
        few = view[:: max(1, len(view) // FEW)]
        distances = [torch.cdist(few[None], block).amin(2).mean(1) for block in torch.split(known, 32)]
        return torch.cat([known[int(torch.cat(distances).argmin())], view])

    return _completed(config, found)


def mean_shape(config: Config, folder: Path) -> RunResult:
    """Points drawn from all training objects together, and the view."""

    def found(parts: Pairs, view: Tensor) -> Tensor:
        objects = parts["train"][1].flatten(0, 1)
        draws = torch.Generator().manual_seed(0)
        return torch.cat([objects[torch.randint(len(objects), (parts["train"][1].shape[1],), generator=draws)], view])

    return _completed(config, found)


def _completed(config: Config, complete: Callable[[Pairs, Tensor], Tensor]) -> RunResult:
    """Chamfer distances and F-score of the test views."""
    task = config.pcc
    assert task is not None
    parts = cloud_pairs(task, config.data.source)
    found: dict[str, list[float]] = {}
    for view, whole in zip(*parts["test"], strict=True):
        for name, values in completion.quality_of(complete(parts, view)[None], whole[None]).items():
            found.setdefault(name, []).append(float(values))
    return RunResult({name: float(np.mean(values)) for name, values in found.items()})


def lead(config: Config, folder: Path) -> RunResult:
    """The first two sentences of what a model reads."""
    return _summaries(config, lambda source, _: " ".join(sentences_of(source)[:2]))


def oracle(config: Config, folder: Path) -> RunResult:
    """The one sentence of what a model reads that is nearest to the summary by ROUGE-1: no floor, but what taking a sentence could reach."""

    def best(source: str, summary: str) -> str:
        known = sentences_of(source)
        return known[int(rouge_of(known, [summary] * len(known))["rouge_1"].argmax())]

    return _summaries(config, best)


def frequent_words(config: Config, folder: Path) -> RunResult:
    """The most frequent words of the training summaries, as many as these have on average, the same for every article."""
    task = config.summary
    assert task is not None
    summaries = articles(task, config.data.source)[1]["train"].summaries
    words = [re.findall(r"[a-z0-9]+", summary.lower()) for summary in summaries]
    count = round(sum(map(len, words)) / len(words))
    text = " ".join(word for word, _ in Counter(word for row in words for word in row).most_common(count))
    return _summaries(config, lambda source, summary: text)


def _summaries(config: Config, summarise: Callable[[str, str], str]) -> RunResult:
    """ROUGE on the test articles of what a source and the right summary give."""
    task = config.summary
    assert task is not None
    test = articles(task, config.data.source)[1]["test"]
    pairs = zip(test.sources, test.summaries, strict=True)
    texts = [summarise(source, summary) for source, summary in pairs]
    return RunResult({name: float(values.mean()) for name, values in rouge_of(texts, test.summaries).items()})


def sentences_of(text: str) -> list[str]:
    """A text's sentences, by what ends them."""
    return re.split(r"(?<=[.!?])\s+", text.strip())


def mean_frame(config: Config, folder: Path) -> RunResult:
    """The mean log-mel frame of the training prompts, as often as an utterance truly has frames."""
    normal, _ = utterances(*_speech(config))
    return _spoken(config, lambda prompt: normal.mean.expand(len(prompt.frames), -1))


def nearest_prompts(config: Config, folder: Path) -> RunResult:
    """For each prompt of an utterance the training prompt whose text is nearest: the most trigrams of letters in common (Dice)."""
    known = load_prompts(Reading.of(*_speech(config)))["train"]
    grams = [trigrams(prompt.text) for prompt in known]

    def nearest(prompt: Prompt) -> Tensor:
        wanted = trigrams(prompt.text)
        return known[int(np.argmax([dice(wanted, own) for own in grams]))].frames

    return _spoken(config, nearest)


def _spoken(config: Config, frames: Callable[[Prompt], Tensor]) -> RunResult:
    """MCD and MSD of the test utterances when each prompt has the log-mels that `frames` gives, under the names of every backbone."""
    task, source = _speech(config)
    _, splits = utterances(task, source)
    sounds = [speech.spoken(task, torch.cat(list(map(frames, prompts)))) for prompts in splits["test"].prompts]
    found = speech.measured_speech(task, source, sounds)
    return RunResult(
        {f"{speech.SHORT[name]}_{metric}": value for name in task.backbones for metric, value in found.items()}
    )


def _speech(config: Config) -> tuple[Speech, str]:
    """The section of speech, and the source of its data."""
    assert config.speech is not None
    return config.speech, config.data.source


def trigrams(text: str) -> Counter[str]:
    """How often each three symbols follow each other in a text, its ends included."""
    symbols = "".join(SYMBOLS[number - 1] for number in symbols_of(text))
    return Counter(symbols[start : start + 3] for start in range(len(symbols) - 2))


def dice(first: Counter[str], second: Counter[str]) -> float:
    """Twice what two counts have in common over all that they have."""
    return 2 * (first & second).total() / (first.total() + second.total())


def target_unigram(config: Config, folder: Path) -> RunResult:
    """The frequencies of the target's words; the source is not read."""
    return _targets(config, 1)


def target_trigram(config: Config, folder: Path) -> RunResult:
    """Three words of the target, smoothed; the source is not read."""
    return _targets(config, 3)


def _targets(config: Config, order: int) -> RunResult:
    """Perplexity per word of the test sentences, their ends included and their beginnings not."""
    task = config.translation
    assert task is not None
    pairs = sentence_pairs(task, config.data.source)
    train, test = (
        [row[row != PADDING] for row in pairs[split][1].numpy().astype(np.int64)] for split in ("train", "test")
    )
    return RunResult({"perplexity": math.exp(floors.ngram_loss(train, test, task.vocabulary, order, given=1))})

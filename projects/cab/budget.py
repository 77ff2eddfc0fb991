"""What the tables of this project multiply and hold: trainings and evaluations of the models that their configs build (see `regard_lab.hours`)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from projects.cab.config import NONE, Attention, Config, Lm, Lstf, Translation
from regard_lab import data
from regard_lab.hours import Count, Work, attention_difference, cached, count, examples

if TYPE_CHECKING:
    from torch import nn

    from regard_lab.training.recipe import Training

CHANNELS = {"household_power": 7, "appliances": 26}  # of sets whose module does not list them
CHARACTERS = {"austen": 4_100_000}  # of six novels, about; a card counts texts
ALPHABET = 128  # characters, at most, of the same
SOFTMAX = Attention("softmax", "")
CONTEXTS = 4  # at which a language model is tested, on the same characters


def works(table: str, cells: Sequence[Config]) -> list[Work]:
    """Of each cell one training per task and its test. `index` and `benefit` take the trainings of the other tables, and certification is timed."""
    if table not in ("lstf_self", "lstf_cross", "lm", "translation"):
        return []
    done: list[Work] = []
    for config in cells:
        if (lstf := config.lstf) is not None:
            for name in lstf.sets:
                done += forecasts(config, lstf, name)
        if (lm := config.lm) is not None:
            done += characters(config, lm)
        if (translation := config.translation) is not None:
            done += sentences(config, translation)
    return done


def forecasts(config: Config, task: Lstf, name: str) -> list[Work]:
    """Informer on one set of series."""
    from projects.cab.models.forecaster import Forecaster

    channels = CHANNELS.get(name) or len(data.module_of(name).COLUMNS)  # type: ignore[attr-defined]
    pattern, cross = config.pattern, config.pattern == "noncausal_cross"
    shapes = [
        ((1, task.length, channels), "float32"),
        ((1, task.length, 4), "float32"),
        ((1, task.horizon, 4), "float32"),
    ]
    counted = count_of(config, lambda: Forecaster(task, SOFTMAX, pattern, channels), shapes, name)
    keys = -(-task.length // 2 ** (task.encoder_layers - 1))
    counted = swapped(
        counted,
        config,
        task.decoder_layers if cross else task.encoder_layers,
        width=task.width,
        heads=task.heads,
        n=task.label_length + task.horizon if cross else task.length,
        m=keys if cross else None,
    )
    whole = task.length + task.horizon
    rows = {
        split: windows(size, whole, task.train_examples if split == "train" else task.held_out_examples)
        for split, size in (
            (split, examples(config.data.source, name, split)) for split in ("train", "validation", "test")
        )
    }
    return of_training("windows of series", counted, task.training, rows, tests=1)


def characters(config: Config, task: Lm) -> list[Work]:
    """The language model, tested at four contexts."""
    from projects.cab.models.language_model import LanguageModel

    pattern = config.pattern
    counted = count_of(
        config,
        lambda: LanguageModel(task, SOFTMAX, pattern, ALPHABET, 2 * task.context),
        [((1, task.context), "long")],
        task.set,
    )
    counted = swapped(counted, config, task.layers, width=task.width, heads=task.heads, n=task.context)
    share = {"train": 4 / 6, "validation": 1 / 6, "test": 1 / 6}  # of the novels
    rows = {
        split: windows(
            int(CHARACTERS[task.set] * part),
            task.context,
            task.train_examples if split == "train" else task.held_out_examples,
            task.context,
        )
        for split, part in share.items()
    }
    return of_training("windows of text", counted, task.training, rows, tests=CONTEXTS)


def sentences(config: Config, task: Translation) -> list[Work]:
    """The translator; sentences are counted as if all of the set fitted."""
    from projects.cab.models.translator import Translator

    pattern = config.pattern
    shapes = [((1, task.length), "long"), ((1, task.length - 1), "long")]
    counted = count_of(config, lambda: Translator(task, SOFTMAX, pattern), shapes, task.set)
    counted = swapped(counted, config, task.decoder_layers, width=task.width, heads=task.heads, n=task.length)
    rows = {
        split: examples(
            config.data.source, task.set, split, task.train_examples if split == "train" else task.held_out_examples
        )
        for split in ("train", "validation", "test")
    }
    return of_training("sentences", counted, task.training, rows, tests=1)


def count_of(
    config: Config, build: "Callable[[], nn.Module]", shapes: Sequence[tuple[tuple[int, ...], str]], name: str
) -> Count:
    """The counts of a task's model with softmax attention, once per task and set."""
    counted: Count = cached(
        ("cab", repr((config.lstf, config.lm, config.translation)), config.pattern, name), lambda: count(build, *shapes)
    )
    return counted


def swapped(
    counted: Count, config: Config, layers: int, *, width: int, heads: int, n: int, m: int | None = None
) -> Count:
    """The counts with the mechanism in the layers under test; a layer that is left out, or a user's own, is counted as softmax attention."""
    attention = config.attention
    if attention.name in (NONE, "softmax") or ":" in attention.name:
        return counted
    more = attention_difference(attention.name, layers, width=width, heads=heads, n=n, m=m, **attention.options)
    return replace(counted, forward=counted.forward + more, backward=counted.backward + 2 * more)


def windows(size: int, whole: int, most: int | None, step: int = 1) -> int:
    """How many windows of `whole` steps begin every `step` in a split, `most` at most."""
    count = max((size - whole) // step + 1, 0)
    return count if most is None else min(count, most)


def of_training(what: str, counted: Count, training: "Training", rows: dict[str, int], tests: int) -> list[Work]:
    """A training, its validation after each epoch, and `tests` passes over the test split."""
    times = training.epochs * rows["validation"] + tests * rows["test"]
    return [
        Work(
            f"{what}, forward and backward",
            training.epochs * rows["train"],
            counted.forward + counted.backward,
            counted.step_memory(training.batch_size),
        ),
        Work(f"{what}, forward", times, counted.forward),
    ]

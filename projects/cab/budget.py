"""What the tables of this project multiply and hold: trainings and evaluations of the models that their configs build (see `regard_lab.hours`)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from projects.cab.config import NONE, TRAINED, Attention, Config, Lm, Lstf, Mlm, Pcc, Sr, Summary, Translation
from regard_lab import data
from regard_lab.hours import Count, Work, attention_difference, cached, count, examples

if TYPE_CHECKING:
    from torch import nn

    from regard_lab.training.recipe import Training

CHANNELS = {"household_power": 7, "appliances": 26}  # of sets whose module does not list them
# Of sets whose card counts whole texts: characters of each split, about; and characters per subword at a vocabulary, measured on the first two.
CHARACTERS = {
    "austen": {"train": 2_930_000, "validation": 430_000, "test": 466_000},
    "shakespeare": {"train": 4_070_000, "validation": 340_000, "test": 395_000},
}
PER_SUBWORD = {512: 1.95, 1024: 2.45, 2048: 2.9}
SPLITS = ("train", "validation", "test")
SOFTMAX = Attention("softmax", "")
CONTEXTS = 9  # at which a language model is tested, on the same subwords
TABLES = ("lstf_self", "lstf_cross", "lstf_ett_self", "lstf_ett_cross", "lm", "mlm", "sr", "pcc_self", "pcc_cross")
WRITING = ("summary_self", "summary_causal", "summary_cross", "translation")


def works(table: str, cells: Sequence[Config]) -> list[Work]:
    """Of each cell one training per task and its test. `index` and `benefit` take the trainings of the other tables, and certification is timed."""
    if table not in (*TABLES, *WRITING):
        return []
    done: list[Work] = []
    for config in cells:
        if (lstf := config.lstf) is not None:
            for name in lstf.sets:
                done += forecasts(config, lstf, name)
        if (lm := config.lm) is not None:
            done += language_model(config, lm)
        if (mlm := config.mlm) is not None:
            done += masked_language_model(config, mlm)
        if (sr := config.sr) is not None:
            done += pictures(config, sr)
        if (pcc := config.pcc) is not None:
            done += clouds(config, pcc)
        if (summary := config.summary) is not None:
            done += summaries(config, summary)
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


def language_model(config: Config, task: Lm) -> list[Work]:
    """The language model, tested at nine contexts."""
    from projects.cab.models.language_model import LanguageModel

    counted = count_of(
        config,
        lambda: LanguageModel(task, SOFTMAX, config.pattern, 2 * task.context),
        [((1, task.context), "long")],
        "lm",
    )
    counted = swapped(counted, config, task.layers, width=task.width, heads=task.heads, n=task.context)
    rows = text_rows(task.sets, task.vocabulary, task.context, task.train_examples, task.held_out_examples)
    return of_training("windows of text", counted, task.training, rows, tests=CONTEXTS)


def masked_language_model(config: Config, task: Mlm) -> list[Work]:
    """The masked language model."""
    from projects.cab.data.masking import masked_count
    from projects.cab.models.masked_language_model import MaskedLanguageModel

    shapes = [((1, task.length), "long"), ((1, masked_count(task.length, task.masked)), "long")]
    counted = count_of(config, lambda: MaskedLanguageModel(task, SOFTMAX, config.pattern), shapes, "mlm")
    counted = swapped(counted, config, task.layers, width=task.width, heads=task.heads, n=task.length)
    rows = text_rows(task.sets, task.vocabulary, task.length, task.train_examples, task.held_out_examples)
    return of_training("masked windows of text", counted, task.training, rows, tests=1)


def pictures(config: Config, task: Sr) -> list[Work]:
    """The diffusion model; each test picture takes a pass per step of noise. Attention is counted as softmax attention for every mechanism."""
    from projects.cab.models.super_resolution import SuperResolution

    picture = ((1, 3, task.high, task.high), "float32")
    shapes = [picture, picture, ((1,), "float32")]
    counted = count_of(config, lambda: SuperResolution(task, SOFTMAX, config.pattern), shapes, "sr")
    rows = card_rows(config, task.set, task.train_examples, task.held_out_examples)
    return of_training("pictures", counted, task.training, rows, tests=task.steps)


def clouds(config: Config, task: Pcc) -> list[Work]:
    """The completion of point clouds."""
    from projects.cab.models.completion import Completion

    cross = config.pattern == "noncausal_cross"
    shapes = [((1, task.points, 3), "float32")]
    counted = count_of(config, lambda: Completion(task, SOFTMAX, config.pattern), shapes, "pcc")
    counted = swapped(
        counted,
        config,
        task.decoder_layers if cross else task.encoder_layers,
        width=task.width,
        heads=task.heads,
        n=task.queries if cross else task.proxies,
        m=task.proxies if cross else None,
    )
    rows = card_rows(config, task.set, task.train_examples, task.held_out_examples)
    return of_training("views of objects", counted, task.training, rows, tests=1)


def summaries(config: Config, task: Summary) -> list[Work]:
    """The summariser; writing takes a pass per subword and beam, each counted as one over the whole summary."""
    from projects.cab.models.summariser import Summariser

    pattern = config.pattern
    shapes = [((1, task.source_length), "long"), ((1, task.target_length - 1), "long")]
    counted = count_of(config, lambda: Summariser(task, SOFTMAX, pattern), shapes, "summary")
    counted = swapped(
        counted,
        config,
        task.encoder_layers if pattern == "noncausal_self" else task.decoder_layers,
        width=task.width,
        heads=task.heads,
        n=task.source_length if pattern == "noncausal_self" else task.target_length,
        m=task.source_length if pattern == "causal_cross" else None,
    )
    rows = card_rows(config, task.set, task.train_examples, task.held_out_examples)
    return of_training("articles", counted, task.training, rows, tests=1 + task.target_length * (1 + task.beams))


def text_rows(
    sets: Sequence[str], vocabulary: int, length: int, train: int | None, held_out: int | None
) -> dict[str, int]:
    """How many windows each split of some texts has, about."""
    share = PER_SUBWORD[min(PER_SUBWORD, key=lambda known: abs(known - vocabulary))]
    subwords = {split: int(sum(CHARACTERS[name][split] for name in sets) / share) for split in SPLITS}
    most = {"train": train, "validation": held_out, "test": held_out}
    return {split: windows(subwords[split], length, most[split], length) for split in SPLITS}


def card_rows(config: Config, name: str, train: int | None, held_out: int | None) -> dict[str, int]:
    """How many examples each split of a set has by its card, as many as a task asks for."""
    most = {"train": train, "validation": held_out, "test": held_out}
    return {split: examples(config.data.source, name, split, most[split]) for split in SPLITS}


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
        ("cab", repr([getattr(config, section) for section in (*TRAINED, "sr")]), config.pattern, name),
        lambda: count(build, *shapes),
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

"""What the tables of this project multiply and hold: trainings and evaluations of the models that their configs build (see `regard_lab.hours`)."""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from projects.cab.config import (
    NONE,
    Attention,
    Config,
    Lm,
    Lstf,
    Mlm,
    Options,
    Pcc,
    Speech,
    Sr,
    Summary,
    Translation,
    options_of,
)
from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.hours import Count, Work, attention_difference, cached, count, examples

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

    from regard_lab.training.recipe import Training

CHANNELS = {"household_power": 7, "appliances": 26}  # of sets whose module does not list them
SOFTMAX = Attention("softmax", "")

# Subwords per set and split, which no card has. Training: at most those of the laptop's vocabulary of 1,024, whose
# 4,200 steps of 4 windows of 512 are three epochs of the training split of austen and shakespeare. Validation and test:
# estimated from the numbers of their texts.
SUBWORDS: dict[tuple[str, ...], dict[str, int]] = {
    ("austen", "shakespeare"): {"train": 2_870_000, "validation": 400_000, "test": 400_000}
}
CONTEXTS = 9  # at which a language model is tested, on the same text; counted as if each were that of training

# Views of furniture, whose card has no sizes: some 820 models, of which each split has its share, in 4, 1 and 1 views.
VIEWS = {"furniture": {"train": 2_624, "validation": 82, "test": 82}}

# Utterances of speech, which no card has: those of 500 frames at least that the prompts make, once; LJSpeech's clips, a
# tenth of them each for validation and test. Each has the mean frames of the paper's LJSpeech, and 100 symbols, its
# length in the paper's table of tasks.
UTTERANCES = {
    "core_sounds": {"train": 108, "validation": 13, "test": 13},
    "lj_speech": {"train": 10_480, "validation": 1_310, "test": 1_310},
}
FRAMES, SYMBOLS, KINDS = 559, 100, 31

COLOURS, PLACE = 3, 3

UNCOUNTED = {
    "own": "it holds what users score with their own mechanisms, in the tasks of the other tables",
    "patterns": "certification runs layers of a few tokens, seconds on a processor",
    "efficiency": "its layers are timed for seconds",
    "index": "it takes the trainings of the tables of the patterns' tasks",
    "benefit": "it takes the trainings of the tables of the patterns' tasks",
}
PUBLISHED = "it is computed from the published numbers, without any model"


def works(table: str, cells: Sequence[Config]) -> list[Work]:
    """Of each cell one training per task and its test."""
    done: list[Work] = []
    if table in UNCOUNTED:
        return done
    for config in cells:
        if (lstf := config.lstf) is not None:
            for name in lstf.sets:
                done += forecasts(config, lstf, name)
        if config.lm is not None:
            done += language_model(config, config.lm)
        if config.mlm is not None:
            done += masked_language_model(config, config.mlm)
        if config.translation is not None:
            done += sentences(config, config.translation)
        if config.summary is not None:
            done += summaries(config, config.summary)
        if config.sr is not None:
            done += pictures(config, config.sr)
        if config.pcc is not None:
            done += clouds(config, config.pcc)
        if config.speech is not None:
            done += spoken_utterances(config, config.speech)
    return done


def why_not(table: str) -> str | None:
    """Why nothing is counted for a table, in a sentence's end; `None` where works are."""
    if table.startswith(("published_", "raw_")) or table in ("constants", "correlations"):
        return PUBLISHED
    return UNCOUNTED.get(table)


def forecasts(config: Config, task: Lstf, name: str) -> list[Work]:
    """Informer on one set of series."""
    from projects.cab.models.forecaster import Forecaster

    channels = 1 if task.features == "S" else CHANNELS.get(name) or len(data.module_of(name).COLUMNS)  # type: ignore[attr-defined]
    pattern, cross = config.pattern, config.pattern == "noncausal_cross"
    shapes = [
        ((1, task.length, channels), "float32"),
        ((1, task.length, 4), "float32"),
        ((1, task.horizon, 4), "float32"),
    ]
    counted = count_of(task, lambda: Forecaster(task, SOFTMAX, pattern, channels), shapes)
    keys = -(-task.length // 2 ** (task.encoder_layers - 1))
    counted = swapped(
        counted,
        config,
        task.decoder_layers if cross else task.encoder_layers,
        width=task.width,
        heads=task.heads,
        n=task.label_length + task.horizon if cross else task.length,
        m=keys if cross else None,
        options=task.options,
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

    plain = replace(task, positions="absolute")  # rotations are no matrix products
    counted = count_of(
        plain, lambda: LanguageModel(plain, SOFTMAX, "causal_self", 2 * task.context), [((1, task.context), "long")]
    )
    counted = swapped(counted, config, task.layers, width=task.width, heads=task.heads, n=task.context)
    rows = windows_of_text(task.sets, task.context, task.train_examples, task.held_out_examples)
    return of_training("windows of text", counted, task.training, rows, tests=CONTEXTS)


def masked_language_model(config: Config, task: Mlm) -> list[Work]:
    """The masked language model."""
    from projects.cab.models.masked_language_model import MaskedLanguageModel

    asked = round(task.masked * task.length)
    shapes = [((1, task.length), "long"), ((1, asked), "long")]
    counted = count_of(task, lambda: MaskedLanguageModel(task, SOFTMAX, "noncausal_self"), shapes)
    counted = swapped(counted, config, task.layers, width=task.width, heads=task.heads, n=task.length)
    rows = windows_of_text(task.sets, task.length, task.train_examples, task.held_out_examples)
    return of_training("masked windows of text", counted, task.training, rows, tests=1)


def windows_of_text(sets: Sequence[str], length: int, train: int | None, held_out: int | None) -> dict[str, int]:
    """The windows of each split that follow each other without a gap.

    Raises:
        UserError: The subwords of these sets are not known here.
    """
    if (sizes := SUBWORDS.get(tuple(sets))) is None:
        raise UserError(f"the subwords of {', '.join(sets)} are not known to projects/cab/budget.py")
    return {
        split: windows(size, length, train if split == "train" else held_out, length) for split, size in sizes.items()
    }


def summaries(config: Config, task: Summary) -> list[Work]:
    """The summariser, tested on true summaries, and on what it writes greedily and by beams, each step reading the summary so far anew."""
    from projects.cab.models.summariser import Summariser

    pattern, longest = config.pattern, task.target_length - 1

    def build() -> Summariser:
        return Summariser(task, SOFTMAX, pattern)

    def decoder() -> "nn.Module":
        return decoding(build())

    counted = count_of(task, build, [((1, task.source_length), "long"), ((1, longest), "long")])
    half = max(longest // 2, 1)  # the mean length of the summary so far
    shapes = [((1, task.source_length, task.width), "float32"), ((1, half), "long")]
    step = count_of(task, decoder, shapes, "decoding")
    layers = task.encoder_layers if pattern == "noncausal_self" else task.decoder_layers
    sizes = {"width": task.width, "heads": task.heads}
    source = task.source_length if pattern == "causal_cross" else None
    own, own_half = (longest, half) if pattern != "noncausal_self" else (task.source_length, 0)
    counted = swapped(counted, config, layers, **sizes, n=own, m=source, options=task.options)
    if own_half:
        step = swapped(step, config, layers, **sizes, n=own_half, m=source, options=task.options)
    rows = examples_of(config, task.set, task.train_examples, task.held_out_examples)
    steps = longest * (1 + task.beams) * rows["test"]
    return [
        *of_training("articles", counted, task.training, rows, tests=1),
        Work("steps of decoding", steps, step.forward),
    ]


def decoding(model: Any) -> "nn.Module":
    """One step of writing: the decoder of a summariser on the encoded source and the summary so far."""
    import torch

    class Decoding(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, context: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            made: torch.Tensor = self.model.decode(
                context, context.new_ones(context.shape[:2], dtype=torch.bool), target
            )
            return made

    return Decoding()


def pictures(config: Config, task: Sr) -> list[Work]:
    """The diffusion model; a picture of the test split is drawn in as many steps as the noise has."""
    from projects.cab.models.super_resolution import SuperResolution

    side = task.high
    picture = ((1, COLOURS, side, side), "float32")
    counted = count_of(
        task, lambda: SuperResolution(task, SOFTMAX, "noncausal_self"), [picture, picture, ((1,), "float32")]
    )
    for place, times in enumerate(task.multipliers):
        side = task.high // 2**place
        layers = (2 * task.blocks + 1) * (side in task.attention_at) + (place == len(task.multipliers) - 1)
        sizes = {"width": times * task.width, "heads": task.heads, "n": side**2}
        counted = swapped(counted, config, layers, **sizes, options=task.options)
    rows = examples_of(config, task.set, task.train_examples, task.held_out_examples)
    return of_training("pictures", counted, task.training, rows, tests=task.steps)


def clouds(config: Config, task: Pcc) -> list[Work]:
    """The completion of point clouds; distances between points are not counted."""
    counted = count_of(task, lambda: completion(task), [((1, task.points, PLACE), "float32")])
    cross = config.pattern == "noncausal_cross"
    counted = swapped(
        counted,
        config,
        task.decoder_layers if cross else task.encoder_layers,
        width=task.width,
        heads=task.heads,
        n=task.queries if cross else task.proxies,
        m=task.proxies if cross else None,
        options=task.options,
    )
    rows = examples_of(config, task.set, task.train_examples, task.held_out_examples)
    return of_training("views", counted, task.training, rows, tests=1)


def completion(task: Pcc) -> "nn.Module":
    """The model with the first points in place of the farthest: choosing them takes thousands of steps that multiply nothing."""
    import torch

    from projects.cab.models import completion as module

    class FirstPoints(module.Completion):
        def forward(self, view: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            with patched(module, "farthest", lambda points, count: points.new_zeros(len(points), count).long()):
                return super().forward(view)

    return FirstPoints(task, SOFTMAX, "noncausal_self")


@contextmanager
def patched(module: Any, name: str, value: Any) -> "Iterator[None]":
    """Another value of a module's name, for a while."""
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)


def spoken_utterances(config: Config, task: Speech) -> list[Work]:
    """FastSpeech 2, and Transformer-TTS, which speaks step by step, each reading the frames so far anew; utterances are all of one length."""
    backbones, rows = task.backbones_of(config.pattern), utterances_of(task)
    done: list[Work] = []
    if "fastspeech2" in backbones:
        done += of_training(
            "utterances, FastSpeech 2", fastspeech2_count(config, task), task.training_of("fastspeech2"), rows, tests=1
        )
    if "transformer_tts" in backbones:
        steps = min(FRAMES, task.most_frames) // task.transformer_tts.frames_per_step
        counted = transformer_tts_count(config, task, steps)
        done += of_training("utterances, Transformer-TTS", counted, task.training_of("transformer_tts"), rows, tests=0)
        half = transformer_tts_count(config, task, max(steps // 2, 1))  # the mean length of what has been said
        done.append(Work("steps of speaking", steps * rows["test"], half.forward))
    return done


def fastspeech2_count(config: Config, task: Speech) -> Count:
    """Of one utterance."""
    symbols, frames, sizes = min(SYMBOLS, task.most_symbols), min(FRAMES, task.most_frames), task.fastspeech2
    counted = count_of(task, lambda: fastspeech2(task, frames), [((1, symbols), "long")], "fastspeech2")
    for layers, n in ((sizes.encoder_layers, symbols), (sizes.decoder_layers, frames)):
        counted = swapped(counted, config, layers, width=sizes.width, heads=sizes.heads, n=n, options=task.options)
    return counted


def fastspeech2(task: Speech, frames: int) -> "nn.Module":
    """The model whose utterances have so many frames, whatever it predicts."""
    import torch

    from projects.cab.models import fastspeech2 as module

    class OfOneLength(module.FastSpeech2Model):
        def forward(self, symbols: torch.Tensor, given: Any = None) -> module.Spoken:
            def spread(x: torch.Tensor, durations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                members = x.new_zeros(len(x), frames, x.shape[1])
                return members @ x, x.new_ones(len(x), frames, dtype=torch.bool)

            with patched(module, "spread", spread):
                return super().forward(symbols, given)

    return OfOneLength(task, SOFTMAX, "noncausal_self", KINDS)


def transformer_tts_count(config: Config, task: Speech, steps: int) -> Count:
    """Of so many steps of one utterance."""
    from projects.cab.models.transformer_tts import TransformerTtsModel

    sizes, pattern = task.transformer_tts, config.pattern
    symbols, channels = min(SYMBOLS, task.most_symbols), sizes.frames_per_step * task.mels
    shapes = [((1, symbols), "long"), ((1, steps, channels), "float32"), ((1, steps), "bool")]
    counted = count_of(task, lambda: TransformerTtsModel(task, SOFTMAX, pattern, KINDS), shapes, "transformer_tts")
    encoder = pattern == "noncausal_self"
    return swapped(
        counted,
        config,
        sizes.encoder_layers if encoder else sizes.decoder_layers,
        width=sizes.width,
        heads=sizes.heads,
        n=symbols if encoder else steps,
        m=symbols if pattern == "causal_cross" else None,
        options=task.options,
    )


def utterances_of(task: Speech) -> dict[str, int]:
    """The utterances of each split, of all joinings."""
    most = {"train": task.train_examples}
    sizes = {
        split: size if (top := most.get(split, task.held_out_examples)) is None else min(size, top)
        for split, size in UTTERANCES[task.set].items()
    }
    return {**sizes, "train": task.joinings * sizes["train"]}


def examples_of(config: Config, name: str, train: int | None, held_out: int | None) -> dict[str, int]:
    """The examples of each split of a set, at most so many."""
    if (known := VIEWS.get(name)) is not None:
        sizes = known
    else:
        sizes = {split: examples(config.data.source, name, split) for split in ("train", "validation", "test")}
    most = {"train": train}
    return {
        split: size if (top := most.get(split, held_out)) is None else min(size, top) for split, size in sizes.items()
    }


def sentences(config: Config, task: Translation) -> list[Work]:
    """The translator; sentences are counted as if all of the set fitted."""
    from projects.cab.models.translator import Translator

    pattern = config.pattern
    shapes = [((1, task.length), "long"), ((1, task.length - 1), "long")]
    counted = count_of(task, lambda: Translator(task, SOFTMAX, pattern), shapes)
    counted = swapped(counted, config, task.decoder_layers, width=task.width, heads=task.heads, n=task.length)
    rows = {
        split: examples(
            config.data.source, task.set, split, task.train_examples if split == "train" else task.held_out_examples
        )
        for split in ("train", "validation", "test")
    }
    return of_training("sentences", counted, task.training, rows, tests=1)


def count_of(
    task: Any, build: "Callable[[], nn.Module]", shapes: Sequence[tuple[tuple[int, ...], str]], part: str = ""
) -> Count:
    """The counts of a task's model, or a part of it, with softmax attention everywhere, whatever pattern is under test: once per task's sizes."""
    sizes = {name: value for name, value in vars(task).items() if name not in NO_SIZES}
    counted: Count = cached(
        ("cab", type(task).__name__, part, repr(sizes), repr(shapes)), lambda: count(build, *shapes)
    )
    return counted


NO_SIZES = ("set", "sets", "options", "training", "train_examples", "held_out_examples", "dropout", "target", "beams")


def swapped(
    counted: Count,
    config: Config,
    layers: int,
    *,
    width: int,
    heads: int,
    n: int,
    m: int | None = None,
    options: Options | None = None,
) -> Count:
    """The counts with the mechanism in the layers under test; a layer that is left out, or a user's own, is counted as softmax attention."""
    attention = config.attention
    if attention.name in (NONE, "softmax") or ":" in attention.name or not layers:
        return counted
    own = options_of(attention, options)
    more = attention_difference(attention.name, layers, width=width, heads=heads, n=n, m=m, **own)
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

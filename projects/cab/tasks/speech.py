"""Text to speech, for noncausal self (FastSpeech 2 and Transformer-TTS), causal self and causal cross attention (Transformer-TTS).

Both are trained on the same utterances and speak those of the test split from their texts alone; Griffin-Lim makes
sound of their log-mels. MCD and MSD are `projects.cab.tasks.distortion`'s, lower is better; `length` tells frames made
per true frame, which MCD and MSD do not see. `vocoder` is what Griffin-Lim alone does to the recordings, the same in
every row.
"""

import functools
import math
from pathlib import Path
from typing import Any

import torch
from scipy.signal import resample_poly
from torch import Tensor

from projects.cab.config import Config, Speech
from projects.cab.data.sound import griffin_lim
from projects.cab.data.speech import KINDS, Reading, Utterances, durations_of, load_utterances, utterances
from projects.cab.models import fastspeech2, transformer_tts
from projects.cab.tasks.cached_training import (
    Measured,
    Score,
    TrainingRun,
    cached_result,
    curves_of,
    evaluation_batches,
    run_result,
    save,
    seconds_of,
    train_model,
)
from projects.cab.tasks.distortion import distortion, reported
from regard_lab.common.sounds import encode
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.trainer import Task

Run = TrainingRun[
    Any
]  # of `Speech`; as one more type of `TrainingRun` it would make the results of every other task stale
SHORT = {"fastspeech2": "fs2", "transformer_tts": "tts"}  # of the metrics' names
INDEX_METRICS = ("tts_mcd", "tts_msd")
INDEX_METRICS_OF_BOTH = ("fs2_mcd", "fs2_msd", *INDEX_METRICS)
SHOWN_SECONDS, SHOWN_RATE = 1.5, 8_000  # of the sample on the page: 32 kB in base64


def train(config: Config, folder: Path) -> RunResult:
    """MCD, MSD and length of what each backbone speaks, the parameters of the layers under test, and the seconds of training."""
    return run_result(result_of(config))


def result_of(config: Config, attention: str | None = None) -> Measured:
    """What the task measures, with another mechanism if one is named."""
    task = config.speech
    assert task is not None
    # The durations always come before the models, so that kept runs find each artefact in its place.
    durations_of(Reading.of(task, config.data.source))
    section: Any = task
    return cached_result(config, fit_speech, section, [task.set], attention=attention)


def fit_speech(run: Run, folder: Path) -> None:
    """Train the backbones and leave what they measure."""
    task: Speech = run.task
    normal, splits = utterances(task, run.source)
    test = splits["test"]
    metrics = {f"vocoder_{name}": value for name, value in vocoder_alone(task, run.source).items()}
    metrics |= {"attention_parameters": 0.0, "train_time_s": 0.0}
    curves: dict[str, list[float]] = {}
    exhibits: dict[str, Any] = {}
    for backbone in task.backbones_of(run.pattern):
        torch.manual_seed(run.seed)
        model, score = backbone_of(backbone, run)
        parts = {split: each.tensors for split, each in splits.items()}
        trained, history = train_model(model, score, parts, task.training_of(backbone), run.seed, folder / backbone)
        sounds = [spoken(task, normal.back(mels)) for mels in speak(trained, test, task)]
        found = measured_speech(task, run.source, sounds)
        metrics |= {f"{SHORT[backbone]}_{name}": value for name, value in found.items()}
        metrics["attention_parameters"] += model.layers.parameter_count()
        metrics["train_time_s"] += seconds_of(history)
        curves |= curves_of(history, f"{SHORT[backbone]}_")
        if run.seed == 0 and not exhibits:
            exhibits = {"text": test.prompts[0][0].text, "sound": sample(sounds[0], task.rate)}
    save(folder, Measured(metrics, curves, exhibits=exhibits))


def backbone_of(name: str, run: Run) -> tuple[Any, Score]:
    """A new model and how its batches are scored; batches lose the padding that no utterance of theirs needs."""
    task: Speech = run.task
    if name == "fastspeech2":
        model = fastspeech2.FastSpeech2Model(task, run.attention, run.pattern, KINDS)
        return model, lambda model, batch: fastspeech2.losses_of(model, trimmed(batch))
    weight = task.transformer_tts.stop_weight
    return (
        transformer_tts.TransformerTtsModel(task, run.attention, run.pattern, KINDS),
        lambda model, batch: transformer_tts.losses_of(model, trimmed(batch), weight),
    )


def trimmed(batch: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """A batch as short as its longest text and its longest speech."""
    symbols, durations, pitch, energy, mels = batch
    text, frames = int((symbols != 0).sum(1).max()), int(durations.sum(1).max())
    return (*(part[:, :text] for part in (symbols, durations, pitch, energy)), mels[:, :frames])


def speak(trained: Task, part: Utterances, task: Speech) -> list[Tensor]:
    """The normalised log-mels `(f_i, mels)` that a model makes of each text, on the CPU."""
    model = trained.model.eval()
    device = next(model.parameters()).device
    made: list[Tensor] = []
    for batch in evaluation_batches(part.tensors[:2], task.training):
        symbols = batch[0].to(device)
        own = (
            fastspeech2.speak(model, symbols)
            if isinstance(model, fastspeech2.FastSpeech2Model)
            else transformer_tts.speak(model, symbols)  # type: ignore[arg-type]
        )
        made += [mels.cpu() for mels in own]
    return made


def spoken(task: Speech, mels: Tensor) -> Tensor:
    """Samples of log-mels `(f, mels)`."""
    sizes = (task.rate, task.window, task.hop, task.lowest, task.highest, task.vocoder_iterations)
    return griffin_lim(mels, *sizes)


@functools.cache
def references(
    reading: Reading, least_frames: int, joinings: int, iterations: int
) -> tuple[list[Tensor], list[Tensor]]:
    """The utterances of the test split, in order: as they were recorded, and their log-mels through the vocoder. Made once per process."""
    _, splits = load_utterances(reading, least_frames, joinings)
    sizes = (reading.rate, reading.window, reading.hop, reading.lowest, reading.highest, iterations)
    recorded, through = [], []
    for prompts in splits["test"].prompts:
        recorded.append(torch.cat([prompt.sound for prompt in prompts]))
        through.append(griffin_lim(torch.cat([prompt.frames for prompt in prompts]), *sizes))
    return recorded, through


def measured_speech(task: Speech, source: str, sounds: list[Tensor]) -> dict[str, float]:
    """MCD, MSD and length of sounds, one for each utterance of the test split in order."""
    _, through = references_of(task, source)
    return reported([distortion(*pair, task.rate) for pair in zip(sounds, through, strict=True)])


def references_of(task: Speech, source: str) -> tuple[list[Tensor], list[Tensor]]:
    """`references` of a task."""
    return references(Reading.of(task, source), task.least_frames, task.joinings, task.vocoder_iterations)


def vocoder_alone(task: Speech, source: str) -> dict[str, float]:
    """MCD and MSD of the recordings through the vocoder, against the recordings themselves."""
    recorded, through = references_of(task, source)
    found = reported([distortion(*pair, task.rate) for pair in zip(through, recorded, strict=True)])
    return {name: found[name] for name in ("mcd", "msd")}


def sample(sound: Tensor, rate: int) -> str:
    """The beginning of a sound for the page: WAV in base64, at most SHOWN_SECONDS at SHOWN_RATE, as loud as it can be."""
    common = math.gcd(rate, SHOWN_RATE)
    few = resample_poly(sound.double().numpy(), SHOWN_RATE // common, rate // common)
    few = few[: int(SHOWN_SECONDS * SHOWN_RATE)]
    return encode(few / max(float(abs(few).max()), 1e-6), SHOWN_RATE)

"""Prompts and what is said in them, as utterances that a model learns to speak: characters, log-mel spectra, durations, pitch, energy.

The input is characters, where the paper has phonemes. A prompt begins and ends with silence, has a pause at every mark
of punctuation, and its figures are spelt out one by one. Durations are by forced alignment (`alignment`), an artefact
that is made once. Mels, pitch and energy are normalised by the training prompts' mean and standard deviation.

Prompts are short: they are joined, in a drawn order, until an utterance has as many frames as the task asks for.
"""

import functools
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from projects.cab.config import Speech
from projects.cab.data.alignment import aligned
from projects.cab.data.sound import cosines, log_mel, pitch
from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.common.files import read_json, write_json
from regard_lab.data import speech
from regard_lab.data.subsets import drawn
from regard_lab.data.texts import drawn as ordered
from regard_lab.experiment.artefacts import artefact

PADDING = 0
SILENCE, SPACE, PAUSE = "_", " ", ","  # at both ends of a prompt, between words, at a mark of punctuation
SYMBOLS = (SILENCE, SPACE, PAUSE, "'", *"abcdefghijklmnopqrstuvwxyz")  # numbered from 1
KINDS = 1 + len(SYMBOLS)
FIGURES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CEPSTRA = 13  # of the features that are aligned, and as many differences
SPLITS = {"train": 0.8, "validation": 0.1, "test": 0.1}  # of a set that has one split alone
SPLIT_SEED = "speech 0"
DURATIONS = "durations.json"


@dataclass(frozen=True, eq=False)
class Prompt:
    """What is read in one go: `name`, `text`, its `symbols` `(n,)` int64, log-mel `frames` `(f, mels)`, and `samples` `(s,)` int16."""

    name: str
    text: str
    symbols: NDArray[np.int64]
    frames: Tensor
    samples: NDArray[np.int16]

    @property
    def sound(self) -> Tensor:
        """The samples from -1 to 1."""
        return sound_of(self.samples)


@dataclass(frozen=True, eq=False)
class Utterances:
    """One split: `prompts` of each of n utterances, and what a model is given and asked for.

    `tensors` are symbols `(n, s)` int64 with PADDING after the last, durations `(n, s)` int64 in frames, pitch and
    energy `(n, s)` per symbol, and mels `(n, f, mels)`, all normalised; what follows an utterance's end is 0.
    """

    prompts: list[list[Prompt]]
    tensors: tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class Normal:
    """The mean and the standard deviation of the training prompts' log-mels, each `(mels,)`."""

    mean: Tensor
    sd: Tensor

    def of(self, mels: Tensor) -> Tensor:
        """Log-mels `(…, mels)` normalised."""
        return (mels - self.mean) / self.sd

    def back(self, mels: Tensor) -> Tensor:
        """Log-mels of normalised ones."""
        return mels * self.sd + self.mean


@dataclass(frozen=True)
class Reading:
    """All that decides a set's prompts and their durations; `sizes` are prompts of train, validation and test, null for all."""

    name: str
    source: str
    rate: int
    window: int
    hop: int
    mels: int
    lowest: int
    highest: int
    most_frames: int
    most_symbols: int
    sizes: tuple[int | None, int | None, int | None]
    iterations: int

    @classmethod
    def of(cls, task: Speech, source: str) -> "Reading":
        sizes = (task.train_examples, task.held_out_examples, task.held_out_examples)
        spectra = (task.rate, task.window, task.hop, task.mels, task.lowest, task.highest)
        return cls(task.set, source, *spectra, task.most_frames, task.most_symbols, sizes, task.alignment_iterations)

    def log_mel(self, samples: Tensor) -> Tensor:
        """Samples `(s,)` -> `(frames, mels)`."""
        return log_mel(samples, self.rate, self.window, self.hop, self.mels, self.lowest, self.highest)


def symbols_of(text: str) -> list[int]:
    """The numbers of a text's symbols.

    Raises:
        UserError: It has no letter and no figure.
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    plain = re.sub(r"[0-9]", lambda figure: f" {FIGURES[int(figure[0])]} ", plain)
    plain = re.sub(r"[.,;:!?()\"]", PAUSE, plain)
    plain = re.sub(r"[^a-z',]+", SPACE, plain)
    plain = re.sub(r"[ ,]*,[ ,]*", PAUSE, plain).strip(f"{SPACE}{PAUSE}'")
    if not plain:
        raise UserError(f"the text {text!r} has no letter and no figure")
    return [1 + SYMBOLS.index(symbol) for symbol in (SILENCE, *plain, SILENCE)]


@functools.cache
def load_prompts(reading: Reading) -> dict[str, list[Prompt]]:
    """The prompts of each split, in the set's order, read once per process.

    Those that are too long, or have fewer frames than symbols, are left out; of the others as many as `sizes` says are
    drawn.

    Raises:
        UserError: The set is recorded at another rate, or a split has no prompt left.
    """
    recorded = data.module_of(reading.name).RATE  # type: ignore[attr-defined]
    if recorded != reading.rate:
        raise UserError(f"{reading.name} has {recorded:,} samples per second, speech.rate asks for {reading.rate:,}")
    found: dict[str, list[Prompt]] = {}
    splits = split_clips(data.load(reading.name, Path.cwd(), reading.source))
    for (split, clips), size in zip(splits.items(), reading.sizes, strict=True):
        read = [(name, text, np.array(symbols_of(text)), samples) for name, text, samples in clips]
        fit = [
            clip
            for clip in read
            if len(clip[2]) <= min(frames := 1 + len(clip[3]) // reading.hop, reading.most_symbols)
            and frames <= reading.most_frames
        ]
        if not fit:
            raise UserError(
                f"none of {len(read):,} prompts of {reading.name}, {split}, has at most {reading.most_frames:,} frames"
                f" and {reading.most_symbols:,} symbols"
            )
        chosen = [fit[place] for place in sorted(drawn(range(len(fit)), size))]
        found[split] = [
            Prompt(name, text, symbols, reading.log_mel(sound_of(samples)), samples)
            for name, text, symbols, samples in chosen
        ]
    return found


def sound_of(samples: NDArray[np.int16]) -> Tensor:
    """Samples from -1 to 1."""
    return torch.from_numpy(np.asarray(samples, np.float32) / 2**15)


def split_clips(splits: dict[str, speech.Speech]) -> dict[str, list[speech.Clip]]:
    """The clips of each split; a set of one split is parted by the names of its clips."""
    clips = {
        split: [(name, part.texts[place], part.clip(place)) for place, name in enumerate(part.names)]
        for split, part in splits.items()
    }
    if set(clips) == set(SPLITS):
        return {split: clips[split] for split in SPLITS}
    (whole,) = clips.values()
    order = ordered((name for name, _, _ in whole), SPLIT_SEED)
    ends = np.cumsum([round(share * len(order)) for share in SPLITS.values()])
    members = [set(names.tolist()) for names in np.split(np.array(order), ends[:-1])]
    return {split: [clip for clip in whole if clip[0] in names] for split, names in zip(SPLITS, members, strict=True)}


def durations_of(reading: Reading) -> dict[str, list[NDArray[np.int64]]]:
    """How many frames each symbol of each prompt has, by split: an artefact, aligned now if it has not been."""
    folder = artefact(align, reading, [reading.name], source=reading.source, root=Path.cwd())
    kept: dict[str, list[list[int]]] = read_json(folder / DURATIONS)
    return {split: [np.array(row) for row in rows] for split, rows in kept.items()}


def align(reading: Reading, folder: Path) -> None:
    """Align every prompt by Gaussians of the training prompts, and leave the durations."""
    prompts = load_prompts(reading)
    listed = [prompt for split in SPLITS for prompt in prompts[split]]
    features = [cepstra(prompt.frames).double().numpy() for prompt in listed]
    found = iter(
        aligned(features, [prompt.symbols for prompt in listed], KINDS, reading.iterations, len(prompts["train"]))
    )
    write_json(folder / DURATIONS, {split: [next(found).tolist() for _ in prompts[split]] for split in SPLITS})


def cepstra(frames: Tensor) -> Tensor:
    """Log-mels `(f, mels)` -> cepstra and their differences over two frames, `(f, 2 · CEPSTRA)`."""
    own = frames @ cosines(CEPSTRA, frames.shape[1])
    around = torch.cat([own[:1], own, own[-1:]])
    return torch.cat([own, around[2:] - around[:-2]], 1)


def utterances(task: Speech, source: str) -> tuple[Normal, dict[str, Utterances]]:
    """The splits as a model reads them, and what their log-mels were normalised by."""
    return load_utterances(Reading.of(task, source), task.least_frames, task.joinings)


@functools.cache
def load_utterances(reading: Reading, least_frames: int, joinings: int) -> tuple[Normal, dict[str, Utterances]]:
    """Made once per process."""
    prompts, durations = load_prompts(reading), durations_of(reading)
    train = torch.cat([prompt.frames for prompt in prompts["train"]])
    normal = Normal(train.mean(0), train.std(0, correction=0).clamp(min=1e-3))
    traits = {
        split: [traits_of(reading, prompt, row) for prompt, row in zip(prompts[split], durations[split], strict=True)]
        for split in SPLITS
    }
    known = torch.cat(traits["train"])
    centre, spread = known.mean(0), known.std(0, correction=0).clamp(min=1e-3)
    made = {}
    for split in SPLITS:
        rows = []
        for joining in range(joinings if split == "train" else 1):
            rows += joined(
                prompts[split], f"{SPLIT_SEED} {joining}", least_frames, reading.most_frames, reading.most_symbols
            )
        mels = [torch.cat([normal.of(prompts[split][place].frames) for place in row]) for row in rows]
        values = [(torch.cat([traits[split][place] for place in row]) - centre) / spread for row in rows]
        tensors = (
            padded([torch.from_numpy(np.concatenate([prompts[split][p].symbols for p in row])) for row in rows]),
            padded([torch.from_numpy(np.concatenate([durations[split][p] for p in row])) for row in rows]),
            *padded(values).unbind(2),
            padded(mels),
        )
        made[split] = Utterances([[prompts[split][place] for place in row] for row in rows], tensors)
    return normal, made


def traits_of(reading: Reading, prompt: Prompt, durations: NDArray[np.int64]) -> Tensor:
    """The logarithms of pitch and energy `(n, 2)`, each the mean over a symbol's frames."""
    per_frame = torch.stack(
        [
            pitch(prompt.sound, reading.rate, reading.window, reading.hop),
            prompt.frames.exp().square().sum(1).sqrt().log(),
        ],
        1,
    )
    return torch.stack([part.mean(0) for part in torch.split(per_frame, durations.tolist())])


def joined(prompts: list[Prompt], seed: str, least: int, most: int, most_symbols: int) -> list[list[int]]:
    """Which prompts make an utterance each: in an order drawn by their names, until there are `least` frames.

    A prompt that would bring it above `most` frames or above `most_symbols` waits for the next utterance. What is left
    at the end and too short is left out, unless it is all that there is.
    """
    names = {prompt.name: place for place, prompt in enumerate(prompts)}
    waiting = [names[name] for name in ordered(names, seed)]
    rows: list[list[int]] = []
    while waiting:
        row: list[int] = []
        frames = symbols = 0
        for place in waiting:
            more = len(prompts[place].frames), len(prompts[place].symbols)
            if frames + more[0] <= most and symbols + more[1] <= most_symbols:
                row.append(place)
                frames, symbols = frames + more[0], symbols + more[1]
            if frames >= least:
                break
        if frames < least and rows:
            break
        rows.append(row)
        waiting = [place for place in waiting if place not in row]
    return rows


def padded(rows: list[Tensor]) -> Tensor:
    """Rows `(n_i, …)` as one tensor, 0 after the end of each."""
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)

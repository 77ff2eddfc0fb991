"""Recorded speech with what was said: the prepared form of sets such as LJSpeech."""

import io
import json
import wave
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from regard_lab.common.errors import UserError

Clip = tuple[str, str, NDArray[np.int16]]


@dataclass(frozen=True, eq=False)
class Speech:
    """One split: `names` and `texts` of its clips, and all their `samples` (n,) int16, one clip after the other; clip i ends before `ends[i]`.

    Prepared as `<split>.jsonl`, `<split>_samples.npy`, which is mapped and not read, and `<split>_ends.npy`.
    """

    names: list[str]
    texts: list[str]
    samples: NDArray[np.int16]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, clips: Iterable[Clip]) -> "Speech":
        """From (name, text, samples), in their order."""
        names, texts, parts = [], [], []
        for name, text, samples in clips:
            names.append(name)
            texts.append(text)
            parts.append(samples)
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        return cls(names, texts, np.concatenate([np.empty(0, np.int16), *parts]), ends)

    def __len__(self) -> int:
        return len(self.names)

    def clip(self, index: int) -> NDArray[np.int16]:
        """The samples of one clip."""
        return self.samples[self.ends[index - 1] if index else 0 : self.ends[index]]

    def keys(self) -> Iterator[str]:
        """One key per clip: its name."""
        return iter(self.names)

    def files(self, split: str) -> Mapping[str, bytes]:
        """The prepared files of this split and their content."""
        rows = zip(self.names, self.texts, strict=True)
        lines = [json.dumps({"name": name, "text": text}, ensure_ascii=False) + "\n" for name, text in rows]
        return {
            f"{split}.jsonl": "".join(lines).encode(),
            f"{split}_samples.npy": npy(self.samples),
            f"{split}_ends.npy": npy(self.ends),
        }

    @classmethod
    def read(cls, folder: Path, split: str) -> "Speech":
        """Read a prepared split; its samples stay in their file until they are used."""
        rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]
        samples, ends = np.load(folder / f"{split}_samples.npy", mmap_mode="c"), np.load(folder / f"{split}_ends.npy")
        if len(rows) != len(ends) or (len(ends) and ends[-1] != len(samples)):
            raise UserError(
                f"{folder}: {split} has {len(rows):,} texts, {len(ends):,} ends and {len(samples):,} samples"
            )
        return cls([row["name"] for row in rows], [row["text"] for row in rows], samples, ends)


def npy(array: NDArray[np.int16] | NDArray[np.int64]) -> bytes:
    """An array as the content of a `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def read_wave(content: bytes, name: str, rate: int) -> NDArray[np.int16]:
    """The samples of a WAV file of one channel and 16 bits.

    Args:
        content: The file's bytes.
        name: What to call it in a message.
        rate: The samples per second that it must have.

    Raises:
        UserError: The file is not of this kind or has a different rate; the message has the numbers.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            kind = file.getnchannels(), 8 * file.getsampwidth(), file.getframerate()
            samples = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise UserError(f"{name} is not a WAV file: {error}") from error
    if kind != (1, 16, rate):
        raise UserError(
            f"{name} has {kind[0]} channels of {kind[1]} bits at {kind[2]:,} Hz, expected 1 of 16 at {rate:,}"
        )
    return np.frombuffer(samples, "<i2").astype(np.int16)

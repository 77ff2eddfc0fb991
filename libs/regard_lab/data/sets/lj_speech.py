"""LJSpeech: 13,100 clips of one speaker who reads seven books, 24 hours at 22,050 Hz, with their normalised texts.

The samples take 4 GB on the disk, and about 12 GB of memory while they are prepared; afterwards they are mapped from their file.
"""

from collections.abc import Iterator
from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.hub import stream_hub
from regard_lab.data.speech import Clip, Speech, read_wave

FORM = Speech
RATE = 22_050
SIZES = {"train": 13_100}
HUB, CONFIG = "keithito/lj_speech", "main"

CARD = Card(
    name="lj_speech",
    title="LJ Speech 1.1",
    stands_in_for=None,
    licence="public domain",
    citation="Ito, Johnson: The LJ Speech Dataset. 2017.",
    homepage="https://keithito.com/LJ-Speech-Dataset/",
    sources=(
        Source("hub", HUB, SIZES),
        Source("folder", "metadata.csv and wavs/ of LJSpeech-1.1.tar.bz2", SIZES),
    ),
    note="One split: which clips a paper holds out differs, and that of CAB is not known. The texts are the normalised ones.",
)


def from_hub() -> dict[str, Speech]:
    """Every clip, from the hub's parquet files, which hold the WAV files whole."""
    return {"train": Speech.of(from_rows())}


def from_rows() -> Iterator[Clip]:
    """The clips of the hub's rows; sound is taken as the bytes that it was given as, so that no decoder is needed."""
    for row in stream_hub(HUB, "train", CONFIG, converted=True, undecoded=("audio",)):
        name = str(row["id"])
        yield name, row["normalized_text"], read_wave(row["audio"]["bytes"], name, RATE)


def from_folder(folder: Path) -> dict[str, Speech]:
    """The unpacked archive of the homepage."""
    return {"train": Speech.of(from_files(folder))}


def from_files(folder: Path) -> Iterator[Clip]:
    """The clips that `metadata.csv` lists, whose fields (id, text, normalised text) are separated by bars and never quoted."""
    path = folder / "metadata.csv"
    if not path.exists():
        raise UserError(f"{path} does not exist; the folder holds {CARD.source('folder').where}")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split("|")
        if len(fields) != 3:
            raise UserError(
                f"line {number} of {path} has {len(fields)} fields, expected id, text and normalised text: {line[:60]!r}"
            )
        sound = folder / "wavs" / f"{fields[0]}.wav"
        if not sound.exists():
            raise UserError(f"{sound} does not exist, but line {number} of {path.name} names it")
        yield fields[0], fields[2], read_wave(sound.read_bytes(), str(sound), RATE)

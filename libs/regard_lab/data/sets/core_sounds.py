"""Core sounds: 553 prompts of a telephone exchange, read by one speaker, 24 minutes at 16,000 Hz, with their texts.

Tones, silences and the sounds of monkeys are left out. The split is our own, by prompt: prompts with the same words are
in the same split. Parts of a text in brackets are not spoken.
"""

import gzip
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.g722 import RATE, decode_g722
from regard_lab.data.packages import Archive, Package
from regard_lab.data.speech import Clip, Speech
from regard_lab.data.texts import drawn, normalised

__all__ = ["CARD", "FORM", "RATE", "SEED", "SIZES", "from_folder", "from_package"]

FORM = Speech
SEED = "core sounds 0"
HELD_OUT = 0.1  # of the different texts, for validation, and as many for test
SIZES = {"train": 443, "validation": 56, "test": 54}
TEXTS = "usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz"
SOUNDS = "usr/share/asterisk/sounds/en_US_f_Allison/"
NOT_SAID = re.compile(r"\[[^\]]*\]|\(\d+ seconds? of silence\)")

CARD = Card(
    name="core_sounds",
    title="Asterisk core sounds, English",
    stands_in_for="LJSpeech",
    licence="CC BY-SA 3.0",
    citation="Allison Smith, Digium: Asterisk core sounds 1.6.1, packages of Debian.",
    homepage="https://www.asterisk.org",
    sources=(
        Source(
            "package",
            "Debian asterisk-core-sounds-en and asterisk-core-sounds-en-g722 1.6.1-1",
            SIZES,
            sha256="1f5181a1a75cb65917373600163fe030301f0ddcc7997b98591b4f50730d7537",
        ),
        Source("folder", "core-sounds-en.txt (or .txt.gz) and the .g722 files that it names, at any depth", {}),
    ),
    packages=(
        Package(
            "debian",
            "asterisk-core-sounds-en",
            "1.6.1-1",
            "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
        ),
        Package(
            "debian",
            "asterisk-core-sounds-en-g722",
            "1.6.1-1",
            "38c5261820b406dcb0ecb37675720da2b0864850690690352ca52707eb623806",
        ),
    ),
    note=(
        "Prompts with the same words are in the same split; others share phrases, such as “followed by the pound key”, "
        "across splits. Sound is decoded from G.722, of 7 kHz."
    ),
)


def from_package(texts: Archive, sounds: Archive) -> dict[str, Speech]:
    """The list of texts, and the prompts below `…/en_US_f_Allison`."""
    found = {name.removeprefix(SOUNDS): content for name, content in sounds.files(f"{SOUNDS}*.g722")}
    return split(prompts(said(texts.read(TEXTS)), found))


def from_folder(folder: Path) -> dict[str, Speech]:
    """The list of texts and the prompts of an unpacked archive of the homepage."""
    lists = [path for name in ("core-sounds-en.txt.gz", "core-sounds-en.txt") for path in sorted(folder.rglob(name))]
    if not lists:
        raise UserError(f"{folder} has no core-sounds-en.txt; the folder holds {CARD.source('folder').where}")
    content = {path.relative_to(lists[0].parent).as_posix(): path for path in sorted(folder.rglob("*.g722"))}
    texts = said(lists[0].read_bytes())
    return split(prompts(texts, {name: path.read_bytes() for name, path in content.items()}))


def said(content: bytes) -> dict[str, str]:
    """What is said in each prompt, by its name; those without a word are left out, and lines that begin with `;` are comments."""
    raw = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
    texts = {}
    for line in raw.decode("utf-8").splitlines():
        name, colon, text = line.partition(": ")
        text = " ".join(NOT_SAID.sub(" ", text).split())
        if colon and not line.startswith(";") and normalised(text):
            texts[name.strip()] = text
    return texts


def prompts(texts: Mapping[str, str], sounds: Mapping[str, bytes]) -> list[Clip]:
    """Name, text and samples of every text that has a sound, by name.

    Raises:
        UserError: No text has a sound.
    """
    names = sorted(name for name in texts if f"{name}.g722" in sounds)
    if not names:
        raise UserError(f"none of {len(texts):,} texts has its sound among {len(sounds):,} .g722 files")
    return [(name, texts[name], decode_g722(sounds[f"{name}.g722"], f"{name}.g722")) for name in names]


def split(clips: Iterable[Clip]) -> dict[str, Speech]:
    """The splits of the prompts, drawn by their words; within a split they are in the order of their names.

    Raises:
        UserError: There are too few different texts.
    """
    clips = sorted(clips, key=lambda clip: clip[0])
    order = drawn({normalised(text) for _, text, _ in clips}, SEED)
    held_out = round(HELD_OUT * len(order))
    if held_out < 1:
        raise UserError(f"at least {round(0.5 / HELD_OUT)} different texts are needed, got {len(order)}")
    members = {
        "train": set(order[2 * held_out :]),
        "validation": set(order[:held_out]),
        "test": set(order[held_out : 2 * held_out]),
    }
    return {part: Speech.of(clip for clip in clips if normalised(clip[1]) in words) for part, words in members.items()}

"""LibreOffice help, English to Spanish: paragraphs, headings and table cells, aligned by page and by the marks that
translators keep.

Of equal English texts only the first is kept. Each page goes wholly to one split, drawn by its name.
"""

import html
import re
from collections.abc import Mapping
from pathlib import Path

from regard_lab.data.card import Card, Source
from regard_lab.data.packages import Archive, Package
from regard_lab.data.pairs import Pairs
from regard_lab.data.texts import drawn, normalised

FORM = Pairs
SEED = "libreoffice help 0"
FOLDERS = {"source": "usr/share/libreoffice/help/en-US/text", "target": "usr/share/libreoffice/help/es/text"}
HELD_OUT = 0.05  # of the pages, for validation, and as many for test
MARKED = re.compile(r'<(p|h[1-6]|td)\b[^>]*?\bid="((?:par|hd)_id[^"]*)"[^>]*>(.*?)</\1>', re.DOTALL)
TAG = re.compile(r"<[^>]*>")
SIZES = {"train": 25_781, "validation": 1_601, "test": 1_786}

CARD = Card(
    name="libreoffice_help",
    title="LibreOffice help, English and Spanish",
    stands_in_for="Multi-News (translation in place of summarisation)",
    licence="MPL-2.0",
    citation="The Document Foundation: LibreOffice 7.4 help.",
    homepage="https://help.libreoffice.org",
    sources=(
        Source(
            "package",
            "Debian libreoffice-help-en-us and -es 4:7.4.7-1+deb12u14",
            SIZES,
            sha256="08ed821c77a1df2e4750c42af40dfd7dd1195b4326ea63faf28e849539d02bb4",
        ),
        Source("folder", "train.jsonl, validation.jsonl, test.jsonl with source and target per line", {}),
    ),
    packages=tuple(
        Package("debian", f"libreoffice-help-{language}", "4:7.4.7-1+deb12u14", checksum)
        for language, checksum in (
            ("en-us", "8faa840285734d6cfe1ed25537b48f07e74bd6412e3917bf8e5f8a653f7b3712"),
            ("es", "9128a84d83d92c8b1c618d90469d16affddb7d1290b09d42a0c5109cb16f0480"),
        )
    ),
    note="Pairs of the same page and mark that differ; whole pages in one split.",
)


def from_package(english: Archive, spanish: Archive) -> dict[str, Pairs]:
    """The pages below `…/help/<language>/text`."""
    pages = [
        {
            name.removeprefix(f"{FOLDERS[side]}/"): marked(content)
            for name, content in archive.files(f"{FOLDERS[side]}/*.html")
        }
        for side, archive in (("source", english), ("target", spanish))
    ]
    return split(aligned(*pages))


def from_folder(folder: Path) -> dict[str, Pairs]:
    """Three .jsonl files."""
    return {part: Pairs.read(folder, part) for part in ("train", "validation", "test")}


def marked(page: bytes) -> dict[str, str]:
    """The texts of a page by their marks, without markup; the first of equal marks counts."""
    texts: dict[str, str] = {}
    for _, mark, inner in MARKED.findall(page.decode("utf-8", errors="replace")):
        text = " ".join(html.unescape(TAG.sub("", inner)).split())
        if text:
            texts.setdefault(mark, text)
    return texts


def aligned(
    sources: Mapping[str, Mapping[str, str]], targets: Mapping[str, Mapping[str, str]]
) -> dict[str, list[tuple[str, str]]]:
    """Pairs by page: both sides have the mark, they differ, and no page before had the same source."""
    seen: set[str] = set()
    pairs: dict[str, list[tuple[str, str]]] = {}
    for page in sorted(sources.keys() & targets.keys()):
        for mark, source in sources[page].items():
            target, key = targets[page].get(mark, source), normalised(source)
            if target != source and key and key not in seen:
                seen.add(key)
                pairs.setdefault(page, []).append((source, target))
    return pairs


def split(pairs: Mapping[str, list[tuple[str, str]]]) -> dict[str, Pairs]:
    """Whole pages, drawn by their names."""
    pages = drawn(pairs, SEED)
    held = max(1, round(HELD_OUT * len(pages)))
    parts = {"train": pages[2 * held :], "validation": pages[:held], "test": pages[held : 2 * held]}
    return {part: Pairs.of(pair for page in names for pair in pairs[page]) for part, names in parts.items()}

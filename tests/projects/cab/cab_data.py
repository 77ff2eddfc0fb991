"""Small made-up data in place of the real sets, of the right shapes, and configs that go with them."""

from pathlib import Path

import numpy as np

from projects.cab.config import PROJECT, Config
from regard_lab.data.images import Images
from regard_lab.data.pairs import Pairs
from regard_lab.data.point_clouds import Clouds
from regard_lab.data.series import Series
from regard_lab.data.speech import Speech
from regard_lab.data.texts import Texts
from regard_lab.experiment.composition import compose
from regard_lab.experiment.config import typed
from tests.paths import ROOT

SMALL = {
    "lstf": {"length": 12, "label_length": 6, "horizon": 6, "width": 8, "heads": 2, "feed_forward": 8},
    "lm": {
        "vocabulary": 264,
        "context": 16,
        "options.longshort": "{window:4,chunk:2}",
        "width": 8,
        "heads": 2,
        "feed_forward": 8,
    },
    "mlm": {"vocabulary": 264, "length": 16, "width": 8, "heads": 2, "feed_forward": 8},
    "sr": {"options": "{}"},
    "pcc": {"width": 8, "heads": 2, "feed_forward": 8},
    "summary": {"vocabulary": 300, "source_length": 24, "target_length": 10, "width": 8, "heads": 2, "feed_forward": 8},
    "speech": {"transformer_tts.epochs": 1, "alignment_iterations": 1, "vocoder_iterations": 1},
    "translation": {"vocabulary": 20, "length": 8, "width": 8, "heads": 2, "feed_forward": 8},
}


def config_of(*overrides: str) -> Config:
    """The composed config; sizes of sections that the table does not use are left out."""
    table = next((word for word in overrides if word.startswith("table=")), "")
    config = compose(PROJECT, ROOT, [table or "experiment=index"]).config
    there = [
        word
        for word in overrides
        if (section := word.partition(".")[0]) not in SMALL or config.get(section) is not None
    ]
    return typed(Config, compose(PROJECT, ROOT, there if table else ["experiment=index", *there]).config)


def series(name: str, split: str) -> Series:
    steps = {"train": 200, "validation": 60, "test": 60}[split]
    channels = 3
    values = np.sin(np.arange(steps)[:, None] / 4 + np.arange(channels)).astype(np.float32)
    return Series(values, 3600 * np.arange(steps, dtype=np.int64), [str(each) for each in range(channels)])


def pairs(split: str) -> Pairs:
    words, count = ["open", "the", "file", "menu"], {"train": 48, "validation": 16, "test": 16}[split]
    rows = [[words[(place + step) % 4] for step in range(1 + place % 3)] for place in range(count)]
    return Pairs.of((" ".join(row), " ".join(f"{word}o" for word in row)) for row in rows)


def pictures(split: str) -> Images:
    """Slopes of colour, 32 × 32."""
    count = {"train": 20, "validation": 8, "test": 8}[split]
    place = np.arange(32)
    slopes = [
        np.add.outer(place * (1 + each % 5), place * (each % 3))[..., None] * [1, 1, 0.5] for each in range(count)
    ]
    return Images(np.clip(np.stack(slopes), 0, 255).astype(np.uint8), np.arange(count))


def articles(split: str) -> Texts:
    """Of a headline, a first paragraph and a body."""
    count, words = {"train": 24, "validation": 8, "test": 8}[split], ["rain", "sun", "wind", "snow"]
    rows = [(words[each % 4], words[each // 4 % 4]) for each in range(count)]
    texts = [f"{a} falls\n\nThere is {a} and {b}.\n\nToday {a} falls. Then {b} comes.\nIt is {b}." for a, b in rows]
    return Texts.of((text, 0) for text in texts)


def prompts(split: str) -> Speech:
    """Tones of half a second, of a pitch that the words give."""
    count, words = {"train": 24, "validation": 8, "test": 8}[split], ["one", "two", "three", "four"]
    place = np.arange(8_000) / 16_000
    clips = []
    for each in range(count):
        wave = np.sin(2 * np.pi * (100 + 40 * (each % 4)) * place) + 0.3 * np.sin(
            2 * np.pi * 1_000 * (1 + each // 4 % 3) * place
        )
        text = f"{words[each % 4]} {words[each // 4 % 3]}"
        clips.append((f"{split}-{each}", text, (12_000 * wave / 1.3).astype(np.int16)))
    return Speech.of(clips)


def balls(split: str) -> Clouds:
    """Surfaces of balls of several sizes, of which a view is the upper half."""
    count, draws = {"train": 20, "validation": 8, "test": 8}[split], np.random.default_rng(0)
    points = draws.normal(size=(count, 400, 3))
    points *= np.linspace(0.2, 0.5, count)[:, None, None] / np.linalg.norm(points, axis=2, keepdims=True)
    upper = np.stack([cloud[cloud[:, 2].argsort()[-160:]] for cloud in points])
    names = [f"ball/{each}" for each in range(count)]
    return Clouds(upper.astype(np.float32), points.astype(np.float32), np.arange(count), names)


def load(name: str, root: Path, source: str) -> dict:
    splits = ("train", "validation", "test")
    if name in ("household_power", "appliances"):
        return {split: series(name, split) for split in splits}
    if name == "wallpapers":
        return {split: pictures(split) for split in splits}
    if name == "libreoffice_help":
        return {split: pairs(split) for split in splits}
    if name == "furniture":
        return {split: balls(split) for split in splits}
    if name == "core_sounds":
        return {split: prompts(split) for split in splits}
    if name == "bbc_news":
        return {split: articles(split) for split in splits}
    return {split: Texts.of([("It is a truth universally acknowledged. " * 40, 0)]) for split in splits}

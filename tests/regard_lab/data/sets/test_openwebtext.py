"""OpenWebText: documents of the hub, cut into splits."""

import pytest

from regard_lab.data.sets import openwebtext


def test_openwebtext_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []

    def stream(path: str, split: str) -> object:
        for letter in "abcdefg":
            taken.append(letter)
            yield {"text": letter}

    monkeypatch.setattr(openwebtext, "SIZES", {"train": 3, "validation": 1, "test": 1})
    monkeypatch.setattr(openwebtext, "stream_hub", stream)
    splits = openwebtext.from_hub()
    assert {part: split.texts for part, split in splits.items()} == {
        "train": ["a", "b", "c"],
        "validation": ["d"],
        "test": ["e"],
    }
    assert taken == list("abcde")  # and not one document more

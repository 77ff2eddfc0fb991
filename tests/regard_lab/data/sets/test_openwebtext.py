"""OpenWebText: documents of the hub, cut into splits."""

from regard_lab.data.sets import openwebtext


def test_openwebtext_from_the_hub(monkeypatch):
    class Documents(list):
        def __getitem__(self, rows: slice) -> dict:
            return {"text": list.__getitem__(self, rows)}

    monkeypatch.setattr(openwebtext, "SIZES", {"train": 3, "validation": 1, "test": 1})
    monkeypatch.setattr(openwebtext, "load_hub", lambda path: {"train": Documents("abcdefg")})
    splits = openwebtext.from_hub()
    assert {part: split.texts for part, split in splits.items()} == {
        "train": ["a", "b", "c"],
        "validation": ["d"],
        "test": ["e"],
    }

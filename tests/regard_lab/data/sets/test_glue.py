"""GLUE: every task's fields and splits."""

import pytest

from regard_lab.data.sets import glue


def test_glue_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every task's fields and splits, by the hub's names."""

    def tiny(path: str, task: str) -> dict[str, dict[str, list]]:
        assert path == "nyu-mll/glue"
        first, second = glue.FIELDS[task]
        columns = {first: [f"{task} a"], "label": [1]} | ({second: [f"{task} b"]} if second else {})
        names = ("train", "validation", "validation_matched", "validation_mismatched", "test")
        return dict.fromkeys(names, columns)

    monkeypatch.setattr(glue, "load_hub", tiny)
    splits = glue.from_hub()
    assert set(splits) == set(glue.SIZES)
    assert list(splits["cola_train"].rows()) == [("cola a", "", 1.0)]
    assert list(splits["mnli_validation_matched"].rows()) == [("mnli a", "mnli b", 1.0)]

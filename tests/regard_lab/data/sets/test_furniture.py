"""Furniture: models out of a catalogue, their clouds, and splits by model."""

import io
import zipfile

import numpy as np
import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import furniture


def box(height: float) -> bytes:
    corners = [f"v {x} {y} {z}" for x in (0, 1) for y in (0, 1) for z in (0, height)]
    faces = ["1 2 4 3", "5 6 8 7", "1 2 6 5", "3 4 8 7", "1 3 7 5", "2 4 8 6"]
    return "\n".join([*corners, *(f"f {face}" for face in faces)]).encode()


def test_a_catalogue_lists_its_models():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        lines = [
            "category#1=Doors",
            "model#1=/a/door.obj",
            "category#2=Lamps",
            "model#2=/a/lamp.dae",
            "model#3=/a/gone.obj",
        ]
        archive.writestr(furniture.CATALOGUE, "\n".join(lines))
        archive.writestr("a/door.obj", box(2))
        archive.writestr("a/lamp.dae", b"")
    assert list(furniture.models_of(buffer.getvalue())) == [("Doors/door", box(2))]


def test_a_model_is_in_one_split_with_its_views():
    models = [(f"Box/{height}", box(height)) for height in range(1, 11)]
    splits = furniture.split([*models, ("Box/again", box(1))])  # an equal file is the same model
    assert {part: (len(each), len(each.names)) for part, each in splits.items()} == {
        "train": (32, 8),
        "validation": (1, 1),
        "test": (1, 1),
    }
    names = [name for each in splits.values() for name in each.names]
    assert len(set(names)) == 10
    train = splits["train"]
    assert train.partial.shape == (32, 2048, 3)
    assert train.complete.shape == (8, 4096, 3)
    assert float(np.abs(train.complete).max()) == pytest.approx(0.5, abs=0.01)
    assert not np.array_equal(train.partial[0], train.partial[1])
    again = furniture.split(reversed(models))
    assert np.array_equal(again["train"].partial, train.partial)
    with pytest.raises(UserError, match="at least 5 different models are needed, got 4"):
        furniture.split(models[:4])

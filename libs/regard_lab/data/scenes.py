"""The prepared form of scenes of persons, some of whom form groups that do something together."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

OUTSIDER, NOBODY = -1, -2
NO_GROUP = -1
# Coordinates are ten-thousandths of the frame: whole numbers, so that every machine prepares the same bytes.
PLACES = 10_000
UNIT = 1_000  # traits are thousandths


@dataclass(frozen=True, eq=False)
class Scenes:
    """One split of n scenes, of at most p persons and g groups each.

    boxes       (n, p, 4) int16   centre x, centre y, width, height, in ten-thousandths of the frame
    traits      (n, p, t) int16   what else can be seen of a person, in thousandths; the set's module names them in `TRAITS`
    actions     (n, p) int8       what the person does, an index into the set's `ACTIONS`
    groups      (n, p) int8       the index of the person's group, `OUTSIDER`, or `NOBODY` where the scene has fewer persons
    activities  (n, g) int8       what each group does, an index into the set's `ACTIVITIES`, or `NO_GROUP`
    templates   (n,) int16        the layout that the positions were drawn from

    Prepared as `<split>_<field>.npy`.
    """

    boxes: NDArray[np.int16]
    traits: NDArray[np.int16]
    actions: NDArray[np.int8]
    groups: NDArray[np.int8]
    activities: NDArray[np.int8]
    templates: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, rows: slice) -> "Scenes":
        return Scenes(**{name: array[rows] for name, array in self.arrays().items()})

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The fields by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def keys(self) -> Iterator[bytes]:
        """One key per row: where everybody stands. Rows with the same key are duplicates."""
        for boxes, groups in zip(self.boxes, self.groups, strict=True):
            yield np.array(sorted(map(tuple, boxes[groups != NOBODY][:, :2])), dtype=np.int16).tobytes()

    def files(self, split: str) -> Mapping[str, bytes]:
        """The prepared files of this split and their content."""
        return {f"{split}_{name}.npy": npy(array) for name, array in self.arrays().items()}

    @classmethod
    def read(cls, folder: Path, split: str) -> "Scenes":
        """Read the prepared files of a split."""
        return cls(**{field.name: np.load(folder / f"{split}_{field.name}.npy") for field in fields(cls)})


def npy(array: NDArray[Any]) -> bytes:
    """The array as the content of a `.npy` file."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()

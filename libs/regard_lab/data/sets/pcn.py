"""PCN: 30,974 objects of ShapeNet in eight categories, each seen from one side and whole; the set of Point Completion Network as PoinTr reads it.

Training objects are seen from eight sides, the others from one. The points take 12 GB on the disk, and about 24 GB of
memory while they are prepared; afterwards they are mapped from their files.
"""

from pathlib import Path
from typing import Any

import numpy as np

from regard_lab.common.errors import UserError
from regard_lab.common.files import read_json
from regard_lab.data.card import Card, Source
from regard_lab.data.point_clouds import Clouds, of_size, read_pcd

FORM = Clouds
PARTIAL, COMPLETE = 2_048, 16_384  # points
VIEWS = {"train": 8, "validation": 1, "test": 1}
OFFICIAL = {"train": "train", "validation": "val", "test": "test"}
SIZES = {"train": 231_792, "validation": 800, "test": 1_200}  # views of 28,974 objects, 100 and 150 per category

CARD = Card(
    name="pcn",
    title="PCN (completion of ShapeNet's objects)",
    stands_in_for=None,
    licence="ShapeNet's terms of use, for non-commercial research and education",
    citation="Yuan, Khot, Held, Mertz, Hebert: PCN: Point Completion Network. 3DV 2018.",
    homepage="https://github.com/yuxumin/PoinTr/blob/master/DATASET.md",
    sources=(
        Source("folder", "PCN.json, and train/, val/ and test/ with partial/ and complete/ below each (.pcd)", SIZES),
    ),
    note="2,048 points of each view, drawn; where a view has fewer, zeros fill up. An object has 16,384 points.",
)


def from_folder(folder: Path) -> dict[str, Clouds]:
    """The splits that `PCN.json` lists."""
    categories = read_json(folder / "PCN.json")
    return {split: clouds(folder, split, categories) for split in SIZES}


def clouds(folder: Path, split: str, categories: list[dict[str, Any]]) -> Clouds:
    """The objects of a split, category by category, and their views."""
    half = OFFICIAL[split]
    try:
        names = [f"{one['taxonomy_id']}/{name}" for one in categories for name in one[half]]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{folder / 'PCN.json'} is not a list of categories with taxonomy_id and {half}: {error}"
        ) from error
    views = VIEWS[split]
    partial = np.empty((len(names) * views, PARTIAL, 3), np.float32)
    complete = np.empty((len(names), COMPLETE, 3), np.float32)
    for index, name in enumerate(names):
        path = folder / half / "complete" / f"{name}.pcd"
        whole = read_pcd(path)
        if whole.shape != complete.shape[1:]:
            raise UserError(f"{path} has {len(whole):,} points, expected {COMPLETE:,}")
        complete[index] = whole
        for view in range(views):
            at = index * views + view
            points = read_pcd(folder / half / "partial" / name / f"{view:02}.pcd")
            partial[at] = of_size(points, PARTIAL, seed=at)
    return Clouds(partial, complete, np.repeat(np.arange(len(names), dtype=np.int64), views), names)

"""Furniture: models of furniture and other household things as point clouds, both whole and as seen from one side.

A model is 8,192 points of its surface in a cube of side 1: 4,096 of them make the whole cloud, and 2,048 of those
visible from a randomly drawn direction make a view. A model has four views in training and one in validation and test;
no model is in two splits, and models with equal files are one.
"""

import hashlib
import io
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import numpy as np

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.meshes import in_unit_cube, read_obj, surface_points, visible
from regard_lab.data.packages import Archive, Package
from regard_lab.data.point_clouds import Clouds, of_size
from regard_lab.data.texts import drawn

FORM = Clouds
POINTS, PARTIAL, COMPLETE = 8_192, 2_048, 4_096
VIEWS = {"train": 4, "validation": 1, "test": 1}
SIZES = {"train": 2624, "validation": 82, "test": 82}  # views
HELD_OUT = 0.1  # of the models, for validation, and as many for test
SEED = "furniture 0"
CATALOGUE = "PluginFurnitureCatalog.properties"
MODEL, CATEGORY = re.compile(r"^model#(\d+)=/?(.+\.obj)\s*$"), re.compile(r"^category#(\d+)=(.+?)\s*$")
Model = tuple[str, bytes]  # its name, after that of its category, and its OBJ file

CARD = Card(
    name="furniture",
    title="Models of furniture of Sweet Home 3D, as point clouds",
    stands_in_for="PCN",
    licence="CC BY 3.0, CC BY and CC0, by catalogue",
    citation="sweethome3d-furniture 1.8, a package of Debian: catalogues by Scopia, Kator Legaz, Reallusion and BlendSwap.",
    homepage="https://www.sweethome3d.com/freeModels.jsp",
    sources=(
        Source(
            "package",
            "Debian sweethome3d-furniture 1.8-1",
            SIZES,
            sha256="9a62db303c1ddea52bb09de01a3cb969be15519817e7e2ffee847c80f8e7c8d5",
        ),
        Source("folder", "one folder per category with .obj files, at any depth", {}),
    ),
    packages=(
        Package(
            "debian",
            "sweethome3d-furniture",
            "1.8-1",
            "3ccb90c63f9525e887a767b9cd5c8b6933b8b6b2973a615a5359ee68a2118668",
        ),
    ),
    note="Some 820 models, where the paper's are 30,974 of eight categories.",
)


def from_package(archive: Archive) -> dict[str, Clouds]:
    """The OBJ models of all five catalogues."""
    catalogues = archive.files("usr/share/sweethome3d/furniture/*.sh3f")
    return split(model for _, content in sorted(catalogues) for model in models_of(content))


def from_folder(folder: Path) -> dict[str, Clouds]:
    """Every OBJ file; its category is its first folder."""
    paths = sorted(folder.rglob("*.obj"))
    return split((path.relative_to(folder).as_posix(), path.read_bytes()) for path in paths)


def models_of(catalogue: bytes) -> Iterable[Model]:
    """The OBJ models that a catalogue lists."""
    with zipfile.ZipFile(io.BytesIO(catalogue)) as archive:
        there = set(archive.namelist())
        lines = archive.read(CATALOGUE).decode("latin-1").splitlines()
        categories = {match[1]: match[2] for line in lines if (match := CATEGORY.match(line))}
        for match in filter(None, map(MODEL.match, lines)):
            if match[2] in there:
                yield f"{categories.get(match[1], 'none')}/{PurePosixPath(match[2]).stem}", archive.read(match[2])


def split(models: Iterable[Model]) -> dict[str, Clouds]:
    """The splits of models by name and file.

    Raises:
        UserError: There are too few models, or a file is no mesh.
    """
    distinct = {hashlib.sha256(content).hexdigest(): (name, content) for name, content in models}
    order = drawn(distinct, SEED)
    held_out = round(HELD_OUT * len(order))
    if held_out < 1:
        raise UserError(f"at least {round(0.5 / HELD_OUT)} different models are needed, got {len(order)}")
    members = {
        "validation": order[:held_out],
        "test": order[held_out : 2 * held_out],
        "train": order[2 * held_out :],
    }
    return {
        part: clouds([(key, *distinct[key]) for key in sorted(members[part])], views) for part, views in VIEWS.items()
    }


def clouds(models: list[tuple[str, str, bytes]], views: int) -> Clouds:
    """Models as (key, name, file), each whole and in so many views; what is drawn for a model depends on its key alone."""
    partial = np.empty((len(models) * views, PARTIAL, 3), np.float32)
    complete = np.empty((len(models), COMPLETE, 3), np.float32)
    for place, (key, name, content) in enumerate(models):
        draws = np.random.default_rng(int(key[:16], 16))
        points = in_unit_cube(surface_points(*read_obj(content, name), POINTS, draws))
        complete[place] = points[:COMPLETE]
        for view in range(views):
            seen = points[visible(points, draws.normal(size=3))].astype(np.float32)
            partial[place * views + view] = of_size(seen, PARTIAL, seed=view)
    names = [f"{name}-{key[:8]}" for key, name, _ in models]
    return Clouds(partial, complete, np.repeat(np.arange(len(models), dtype=np.int64), views), names)

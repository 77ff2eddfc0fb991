"""Meshes as points: Wavefront's OBJ files, points drawn on their surface, and those that are visible from one side."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from regard_lab.common.errors import UserError

Floats = NDArray[np.float64]
FLIP = 100.0  # the sphere of `visible`, in units of the farthest point
DISTANCE = 3.0  # of the eye from the middle, in units of the farthest point


def read_obj(content: bytes, name: str) -> tuple[Floats, NDArray[np.int64]]:
    """The corners `(n, 3)` and triangles `(m, 3)` of an OBJ file, whatever else it has; a face of more corners is a fan of triangles.

    Format: "Object Files (.obj)", Wavefront Technologies.

    Args:
        content: The file's bytes.
        name: What to call it in a message.

    Raises:
        UserError: It has no face, or a face refers to a corner that does not exist.
    """
    corners: list[list[float]] = []
    triangles: list[tuple[int, int, int]] = []
    for line in content.decode("utf-8", "replace").splitlines():
        words = line.split()
        if words[:1] == ["v"]:
            corners.append([float(word) for word in words[1:4]])
        elif words[:1] == ["f"]:
            face = [int(word.partition("/")[0]) for word in words[1:]]
            face = [number - 1 if number > 0 else len(corners) + number for number in face]
            triangles += [(face[0], face[place], face[place + 1]) for place in range(1, len(face) - 1)]
    if not triangles:
        raise UserError(f"{name} has no face: it is not a mesh")
    found = np.array(triangles, dtype=np.int64)
    if found.min() < 0 or found.max() >= len(corners):
        raise UserError(f"{name} has a face with corner {found.max() + 1}, but {len(corners)} corners")
    return np.array(corners), found


def surface_points(corners: Floats, triangles: NDArray[np.int64], count: int, draws: np.random.Generator) -> Floats:
    """`count` points of the surface `(count, 3)`, uniformly distributed over its area.

    Raises:
        UserError: The surface has no area.
    """
    a, b, c = (corners[triangles[:, place]] for place in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    if not areas.sum() > 0:
        raise UserError(f"a mesh of {len(triangles)} triangles has no area")
    chosen = draws.choice(len(triangles), size=count, p=areas / areas.sum())
    u, v = draws.random((2, count, 1))
    beyond = u + v > 1
    u, v = np.where(beyond, 1 - u, u), np.where(beyond, 1 - v, v)
    points: Floats = a[chosen] + u * (b - a)[chosen] + v * (c - a)[chosen]
    return points


def in_unit_cube(points: Floats) -> Floats:
    """Points moved and scaled so that their bounding box has its middle at 0 and its longest side is 1."""
    low, high = points.min(0), points.max(0)
    scaled: Floats = (points - (low + high) / 2) / max(float((high - low).max()), 1e-12)
    return scaled


def visible(points: Floats, direction: Floats) -> NDArray[np.int64]:
    """The indices of the points `(n, 3)` that are visible from a direction, by hidden point removal (Katz, Tal and
    Basri 2007).

    Args:
        points: With their middle at 0.
        direction: From there to the eye.
    """
    radius = float(np.linalg.norm(points, axis=1).max())
    seen_from = points - DISTANCE * radius * direction / np.linalg.norm(direction)
    length = np.linalg.norm(seen_from, axis=1, keepdims=True)
    flipped = seen_from + 2 * (FLIP * length.max() - length) * seen_from / length
    hull = ConvexHull(np.concatenate([flipped, np.zeros((1, 3))]))
    return np.sort(hull.vertices[hull.vertices < len(points)]).astype(np.int64)

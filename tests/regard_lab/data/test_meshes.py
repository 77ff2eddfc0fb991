"""Meshes: OBJ files by hand, points on a surface, and what is seen of a sphere."""

import numpy as np
import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.meshes import in_unit_cube, read_obj, surface_points, visible

SQUARE = b"# a square\nv 0 0 0\nv 2 0 0\nv 2 2 0\nvn 0 0 1\nv 0 2 0\nf 1/1/1 2/2/1 3//1 -1\n"


def test_a_face_of_four_corners_is_two_triangles():
    corners, triangles = read_obj(SQUARE, "square.obj")
    assert corners.tolist() == [[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0]]
    assert triangles.tolist() == [[0, 1, 2], [0, 2, 3]]
    with pytest.raises(UserError, match=r"empty\.obj has no face"):
        read_obj(b"v 0 0 0\n", "empty.obj")
    with pytest.raises(UserError, match=r"bad\.obj has a face with corner 4, but 3 corners"):
        read_obj(b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", "bad.obj")


def test_points_lie_everywhere_on_the_surface():
    points = surface_points(*read_obj(SQUARE, "square.obj"), 4000, np.random.default_rng(0))
    assert (points[:, 2] == 0).all()
    assert points.min() >= 0
    assert points.max() <= 2
    quarters = np.histogram2d(points[:, 0], points[:, 1], bins=2)[0]
    assert quarters.min() > 900
    scaled = in_unit_cube(points * [1, 2, 1])
    assert np.ptp(scaled, 0) == pytest.approx([0.5, 1, 0], abs=0.01)
    with pytest.raises(UserError, match="a mesh of 1 triangles has no area"):
        surface_points(np.zeros((3, 3)), np.array([[0, 1, 2]]), 5, np.random.default_rng(0))


def test_of_a_sphere_the_near_side_is_seen():
    points = np.random.default_rng(0).normal(size=(2000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    seen = points[visible(points, np.array([0.0, 0.0, 5.0]))]
    assert len(seen) > 400
    assert seen[:, 2].min() > 0.1  # from three radii one sees what lies above 1 / 3, but for the coarse sampling
    assert len(points[points[:, 2] > 0.4]) * 0.9 < len(seen[seen[:, 2] > 0.4])

"""From a group's points to its members: who stands where the points are.

The members of a predicted group are matched to detected persons by the Hungarian method over ‖ u^_i − centre_j ‖ / c_j, c_j the score of person j
[the ECCV paper names a simple Hungarian matching; the cost is our choice]. Nothing is learned; two groups may claim one person.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.floating]


def size_of(part: float, members: int) -> int:
    """The number of members that a size head means, `part` of `members`; a half is rounded up, and a group has at least one."""
    return min(members, max(1, math.floor(part * members + 0.5)))


def members_of(points: Floats, size: int, centres: Floats, scores: Floats) -> list[int]:
    """The persons at the first `size` of the points (M, 2), among centres (p, 2) with scores (p); fewer if there are not so many."""
    if not len(centres):
        return []
    wanted = points[:size]
    cost = np.linalg.norm(wanted[:, None] - centres[None], axis=-1) / np.maximum(scores, 1e-6)
    return sorted(linear_sum_assignment(cost)[1].tolist())

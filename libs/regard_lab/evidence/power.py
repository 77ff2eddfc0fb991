"""What an undecided test would have needed: its power with the available seeds, and the seeds that would decide it.

The spread is the one seen and the true value is assumed: no difference for an equivalence, the estimate itself for everything else.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy import special, stats

from regard_lab.evidence.statistics import LEVEL

ENOUGH = 0.8  # the power at which a test is called sufficient (Cohen 1988)
MOST = 2000  # seeds; more than anyone would run
NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)  # of the integral over the deviation seen


def power_of_superiority(lead: float, sd: float, n: int, level: float = LEVEL) -> float:
    """The probability that a two-sided t interval of n values lies beyond a limit.

    Args:
        lead: How far the true value lies from the limit; not negative.
        sd: The standard deviation of a value.
        n: How many values, at least 2.
        level: The level of the two-sided test.
    """
    reach = float(stats.t.ppf(1 - level / 2, n - 1))
    return float(stats.nct.sf(reach, n - 1, lead / sd * math.sqrt(n)))


def power_of_equivalence(margin: float, truth: float, sd: float, n: int, level: float = LEVEL) -> float:
    """How probable it is that two one-sided t tests both reject (exact, by integration over the standard deviation seen; Phillips 1990).

    Args:
        margin: The largest difference that counts as none.
        truth: The true difference.
        sd: The standard deviation of a paired difference.
        n: How many pairs, at least 2.
        level: The level of each test.
    """
    freedom, error = n - 1, sd / math.sqrt(n)
    reach = float(stats.t.ppf(1 - level, freedom))
    # The deviation seen, in units of the true one; a larger one than `widest` can never lie within the margin.
    widest = margin / (reach * error)
    most = min(widest, 1 + 12 / math.sqrt(freedom))
    seen = most * (NODES + 1) / 2
    room = margin / error - reach * seen
    both = special.ndtr(room - truth / error) - special.ndtr(-room - truth / error)
    half = freedom / 2  # seen² · freedom has the chi-squared distribution
    density = np.exp(
        math.log(2) + half * math.log(half) - special.gammaln(half) + (freedom - 1) * np.log(seen) - half * seen**2
    )
    return float(min(1.0, most / 2 * (WEIGHTS @ (density * np.maximum(both, 0.0)))))


def least(power: Callable[[int], float], start: int, wanted: float = ENOUGH) -> int | None:
    """The smallest n from `start` on whose power is at least `wanted`, `None` beyond `MOST`. The power grows with n."""
    below, above = start - 1, start
    while above <= MOST and power(above) < wanted:
        below, above = above, 2 * above
    if above > MOST:
        above = MOST
        if power(above) < wanted:
            return None
    while above - below > 1:
        middle = (below + above) // 2
        below, above = (below, middle) if power(middle) >= wanted else (middle, above)
    return above

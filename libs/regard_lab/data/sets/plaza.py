"""Plaza: synthetic scenes of 3 to 13 persons in one to four groups, as on a public square. Nothing in it was recorded.

Sizes 2 to 4 have the proportions of the bars of the Collective Activity data set's social labels (Ehsanpour et al.,
figure 3); a fifth of the groups have 5 or 6 members [our choice], so that the effect of size can be seen.
"""

from regard_lab.data.card import Card, Source
from regard_lab.data.crowds import ACTIONS, TRAITS, World, generate
from regard_lab.data.scenes import Scenes

__all__ = ["ACTIONS", "ACTIVITIES", "CARD", "FORM", "TRAITS", "WORLD", "from_package"]

FORM = Scenes
ACTIVITIES = ("crossing", "waiting", "queueing", "walking", "talking")
PAIRS, THREES, FOURS = 2_096, 637, 238  # groups of this size in the figure
SMALL = 0.8 / (PAIRS + THREES + FOURS)
WORLD = World(
    name="plaza",
    activities=ACTIVITIES,
    codes=((True, True, False), (True, False, True), (False, True, True), (True, True, True), (False, False, False)),
    sided=False,
    group_counts=(0.25, 0.35, 0.25, 0.15),
    sizes={2: SMALL * PAIRS, 3: SMALL * THREES, 4: SMALL * FOURS, 5: 0.1, 6: 0.1},
    outsiders=(1, 4),
    most_persons=13,
)
SIZES = {"train": 2_000, "validation": 200, "test": 400}
TEMPLATES = {"train": range(100, 140), "validation": range(140, 150), "test": range(150, 170)}

CARD = Card(
    name="plaza",
    title="Plaza (synthetic): one to four groups and outsiders, five activities",
    stands_in_for="Collective Activity",
    licence="made here; as the code",
    citation="none: a generator of this repository, regard_lab.data.crowds",
    homepage="regard_lab.data.crowds",
    sources=(
        Source(
            "package",
            "generated here from fixed seeds (numpy), nothing is fetched",
            SIZES,
            sha256="db717e33c73a75c4f4992e4617a5f1f5ffcf664a3e4e12d6c53e9912d652e1f3",
        ),
    ),
    note="Synthetic. Positions and appearance carry no label by themselves; the splits have different seeds and different layouts.",
)


def from_package() -> dict[str, Scenes]:
    """Every split, generated."""
    return {split: generate(WORLD, index, size, TEMPLATES[split]) for index, (split, size) in enumerate(SIZES.items())}

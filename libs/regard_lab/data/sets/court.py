"""Court: synthetic scenes of 6 to 12 persons, one group of 2 to 6 among them, as on a volleyball court. Nothing in it was recorded.

There are no groups of one: an activity is a relation between members (see `regard_lab.data.crowds`), which no single
person can show.
"""

from regard_lab.data.card import Card, Source
from regard_lab.data.crowds import ACTIONS, TRAITS, World, generate
from regard_lab.data.scenes import Scenes

__all__ = ["ACTIONS", "ACTIVITIES", "CARD", "FORM", "TRAITS", "WORLD", "from_package"]

FORM = Scenes
KINDS = ("set", "spike", "pass", "win")
ACTIVITIES = tuple(f"{side} {kind}" for side in ("right", "left") for kind in KINDS)
WORLD = World(
    name="court",
    activities=ACTIVITIES,
    codes=((True, True), (True, False), (False, True), (False, False)),
    sided=True,
    group_counts=(1.0,),
    sizes={2: 0.2, 3: 0.2, 4: 0.2, 5: 0.2, 6: 0.2},
    outsiders=(4, 8),
    most_persons=12,
)
SIZES = {"train": 2_000, "validation": 200, "test": 400}
TEMPLATES = {"train": range(40), "validation": range(40, 50), "test": range(50, 70)}

CARD = Card(
    name="court",
    title="Court (synthetic): one group among outsiders, eight activities",
    stands_in_for="Volleyball",
    licence="made here; as the code",
    citation="none: a generator of this repository, regard_lab.data.crowds",
    homepage="regard_lab.data.crowds",
    sources=(
        Source(
            "package",
            "generated here from fixed seeds (numpy), nothing is fetched",
            SIZES,
            sha256="2395406bf9ec8c08ca5bd832032d85f585225dacf51a755ed75523df5e1e4af1",
        ),
    ),
    note="Synthetic. Positions and appearance carry no label by themselves; the splits have different seeds and different layouts.",
)


def from_package() -> dict[str, Scenes]:
    """Every split, generated."""
    return {split: generate(WORLD, index, size, TEMPLATES[split]) for index, (split, size) in enumerate(SIZES.items())}

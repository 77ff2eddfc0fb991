"""StatsBomb: moments of one football match, with the positions of all players that the camera saw and what the player on the ball did.

Events that share one picture of the players are one moment; its activity is the type of the last of them. The group is
the team of the player on the ball, as far as it is in view. Traits say who is in that team, who is on the ball, and who
is the goalkeeper.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.packages import Archive, Package
from regard_lab.data.scenes import NOBODY, OUTSIDER, PLACES, UNIT, Scenes

FORM = Scenes
TRAITS = ("team", "actor", "keeper")
ACTIONS = ("playing", "keeping")
ACTIVITIES = ("pass", "carry", "pressure", "other")
KNOWN = {"Pass": 0, "Carry": 1, "Pressure": 2}
PITCH = (120.0, 80.0)  # StatsBomb's units
BOX = (0.03, 0.05)  # of the pitch: a player has a position, not an extent
MOST_PERSONS, MOST_MEMBERS = 20, 11
SIZES = {"train": 1_500, "validation": 300, "test": 686}
FILES = "*/kloppy/tests/files/statsbomb_3788741_{}.json"

CARD = Card(
    name="statsbomb",
    title="StatsBomb 360: moments of one football match",
    stands_in_for="Volleyball",
    licence="the package is BSD-3-Clause; the data are StatsBomb's open data: attribution to StatsBomb, no commercial use",
    citation="StatsBomb Open Data, match 3788741 (Turkey v Italy, 2021), as in the tests of kloppy (PySport).",
    homepage="https://github.com/statsbomb/open-data",
    sources=(
        Source(
            "package",
            "PyPI kloppy 3.19.1 (source archive)",
            SIZES,
            sha256="9d58d4a97638cd0efb0c6b4d6aae7c3f4800e5207851ec7001c0ccb301c16f43",
        ),
    ),
    packages=(
        Package(
            "pypi",
            "kloppy",
            "3.19.1",
            "c2e592f8728a0bbe07566f048938b84edb0352064864996a150973a5d7c0ac0a",
            sdist=True,
        ),
    ),
    note="Data by StatsBomb. Split by time: the first 1,500 moments, the next 300, the rest. 3,470 events share 2,486 pictures of the players.",
)


def from_package(archive: Archive) -> dict[str, Scenes]:
    """The two files of the match, joined on the event's id."""
    ((_, frames),) = archive.files(FILES.format("360"))
    ((_, events),) = archive.files(FILES.format("event"))
    moments = moments_of(json.loads(frames), json.loads(events))
    splits, start = {}, 0
    for split, size in SIZES.items():
        splits[split] = scenes_of(moments[start : start + size], start)
        start += size
    return splits


def moments_of(frames: Sequence[Any], events: Sequence[Any]) -> list[tuple[list[Any], str]]:
    """(players, type of the last event) of each moment, in the order of the match."""
    known = {event["id"]: event for event in events}
    if missing := [frame["event_uuid"] for frame in frames if frame["event_uuid"] not in known]:
        raise UserError(f"{len(missing)} frames belong to no event, the first is {missing[0]}")
    moments: dict[tuple[Any, ...], tuple[list[Any], str]] = {}
    for frame in sorted(frames, key=lambda frame: int(known[frame["event_uuid"]]["index"])):
        players = frame["freeze_frame"]
        key = tuple(sorted(tuple(player["location"]) for player in players))
        first = moments[key][0] if key in moments else players
        moments[key] = (first, known[frame["event_uuid"]]["type"]["name"])
    return list(moments.values())


def scenes_of(moments: Sequence[tuple[Sequence[Mapping[str, Any]], str]], first: int) -> Scenes:
    """Moments as scenes; `templates` holds the index of each in the match."""
    n = len(moments)
    boxes = np.zeros((n, MOST_PERSONS, 4))
    traits = np.zeros((n, MOST_PERSONS, len(TRAITS)))
    actions = np.zeros((n, MOST_PERSONS), dtype=np.int8)
    groups = np.full((n, MOST_PERSONS), NOBODY, dtype=np.int8)
    for row, (players, _) in enumerate(moments):
        side = next(player["teammate"] for player in players if player["actor"])
        for index, player in enumerate(players):
            mine = player["teammate"] == side
            centre = np.clip(np.array(player["location"]) / PITCH, 0, 1)
            boxes[row, index] = [*centre, *BOX]
            traits[row, index] = [2 * flag - 1 for flag in (mine, player["actor"], player["keeper"])]
            actions[row, index] = int(player["keeper"])
            groups[row, index] = 0 if mine else OUTSIDER
    activities = np.array([[KNOWN.get(kind, len(KNOWN))] for _, kind in moments], dtype=np.int8)
    return Scenes(
        np.round(boxes * PLACES).astype(np.int16),
        np.round(traits * UNIT).astype(np.int16),
        actions,
        groups,
        activities,
        np.arange(first, first + n, dtype=np.int16),
    )

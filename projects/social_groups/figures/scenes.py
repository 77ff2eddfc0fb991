"""One scene with its true and its predicted groups."""

import itertools
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from regard_lab.data.sets import court, plaza
from regard_lab.experiment.results import Result
from regard_lab.report.figures import COLOURS, Results, house_style, scale_words

ACTIVITIES = {"court": court.ACTIVITIES, "plaza": plaza.ACTIVITIES}
GROUPS = [COLOURS[name] for name in ("optimised", "efficient", "super", "nystrom", "smyrf", "local")]
ALONE = "#aaaaaa"


def court_scene(results: Results) -> Figure | None:
    """Court (synthetic): one test scene with its true group and the groups that location + layout queries predict, from true boxes."""
    return scene(results.best("query_designs"), "court", {"queries": "sum"})


def plaza_scene(results: Results) -> Figure | None:
    """Plaza (synthetic): one test scene with its true groups and those predicted with divided self attention, from true boxes."""
    return scene(results.best("self_attention"), "plaza", {"self_attention": "inter_intra"})


def scene(result: Result | None, world: str, key: dict[str, str]) -> Figure | None:
    """Two panels, truth and prediction, of the first scene that the row's first seed shows."""
    row = result.row(**key) if result else None
    if result is None or row is None or not row.cells:
        return None
    shown: dict[str, Any] = result.records[row.cells[0]]["exhibits"]["scenes"][0]
    with house_style():
        figure = Figure(figsize=(6.8, 2.9))
        panels = figure.subplots(1, 2)
        coloured = colours(shown["true"], shown["predicted"])
        for axes, which in zip(panels, ("true", "predicted"), strict=True):
            _panel(axes, shown, which, coloured[which], ACTIVITIES[world])
        figure.suptitle(f"synthetic scene, {scale_words(result)}", x=0.02, ha="left", fontsize=8, color="#555555")
        figure.tight_layout()
    return figure


def colours(true: list[dict[str, Any]], predicted: list[dict[str, Any]]) -> dict[str, list[str]]:
    """One colour per group: a predicted one has that of the true one with which it shares most members, each taken once, or one of its own."""
    free = {index: {str(member) for member in group["members"]} for index, group in enumerate(true)}
    chosen, others = [], itertools.cycle([*GROUPS[len(true) :], "#333333"])
    for group in predicted:
        members = {str(member) for member in group["members"]}
        shared = {index: len(members & other) / len(members | other) for index, other in free.items()}
        best = max(shared, key=lambda index: shared[index], default=None)
        if best is None or not shared[best]:
            chosen.append(next(others))
        else:
            chosen.append(GROUPS[best % len(GROUPS)])
            del free[best]
    return {"true": [GROUPS[index % len(GROUPS)] for index in range(len(true))], "predicted": chosen}


def _panel(axes: Axes, shown: dict[str, Any], which: str, coloured: list[str], names: Sequence[str]) -> None:
    groups = list(zip(shown[which], coloured, strict=True))
    of_person = dict.fromkeys(shown["persons"], ALONE)
    for group, colour in reversed(groups):  # who is claimed twice shows the first
        of_person |= {str(member): colour for member in group["members"] if str(member) in of_person}
    for person, (x, y, width, height) in shown["persons"].items():
        corner = (x - width / 2, y - height / 2)
        axes.add_patch(Rectangle(corner, width, height, facecolor=of_person[person], alpha=0.75, edgecolor="white"))
    axes.set_title(which if groups else f"{which}: no group", fontsize=8)
    if groups:
        handles = [Patch(facecolor=colour, alpha=0.75, label=names[group["activity"]]) for group, colour in groups]
        axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 0), ncols=3, fontsize=7, frameon=False)
    axes.set_xlim(0, 1)
    axes.set_ylim(1, 0)
    axes.set_aspect(0.6)
    axes.grid(visible=False)
    axes.set_xticks([])
    axes.set_yticks([])

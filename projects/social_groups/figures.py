"""The figures of social groups: one scene with true and predicted groups, the designs side by side, and what self attention costs."""

import itertools
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from regard_lab.experiment.results import Result
from regard_lab.report.figures import COLOURS, LINES, Maker, Results, house_style, scale_words, seed_dots

NAMES = {
    "court": [f"{side} {kind}" for side in ("right", "left") for kind in ("set", "spike", "pass", "win")],
    "plaza": ["crossing", "waiting", "queueing", "walking", "talking"],
    "statsbomb": ["pass", "carry", "pressure", "other"],
}
GROUPS = [COLOURS[name] for name in ("optimised", "efficient", "super", "nystrom", "smyrf", "local")]
ALONE = "#aaaaaa"


def court_scene(results: Results) -> Figure | None:
    """Court (synthetic): one test scene with its true group and the groups that location + layout queries predict, from true boxes."""
    return scene(results.best("query_designs"), "court", {"queries": "sum"})


def plaza_scene(results: Results) -> Figure | None:
    """Plaza (synthetic): one test scene with its true groups and those predicted with divided self attention, from true boxes."""
    return scene(results.best("self_attention"), "plaza", {"self_attention": "inter_intra"})


def query_designs(results: Results) -> Figure | None:
    """Court (synthetic): how well members are found, by the design of the queries. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("query_designs"), "group_iou", "IoU of true groups and those found")


def self_attention(results: Results) -> Figure | None:
    """Plaza (synthetic): how well members are found, by the design of self attention. Each dot is a seed, the bar their mean."""
    return seed_dots(results.best("self_attention"), "group_iou", "IoU of true groups and those found")


def cost(results: Results) -> Figure | None:
    """One layer of self attention, forward and backward, one CPU thread: seconds against tokens (groups × slots), mean over seeds."""
    result = results.best("cost")
    rows = [row for row in result.rows if "attention_s" in row.metrics] if result else []
    if result is None or not rows:
        return None
    names = list(dict.fromkeys(str(row.key["self_attention"]) for row in rows))
    with house_style():
        figure = Figure(figsize=(6.4, 3.6))
        axes = figure.subplots()
        for number, name in enumerate(names):
            line = sorted(
                (row.metrics["tokens"].mean, row.metrics["attention_s"].mean)
                for row in rows
                if row.key["self_attention"] == name
            )
            x, y = zip(*line, strict=True)
            axes.plot(x, y, LINES[number % len(LINES)], marker="o", markersize=4, color=GROUPS[number], label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("tokens")
        axes.set_ylabel("time (s)")
        axes.legend(loc="best")
        axes.set_title(scale_words(result), loc="left", fontsize=8, color="#555555")
    return figure


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
            _panel(axes, shown, which, coloured[which], NAMES[world])
        figure.suptitle(f"synthetic scene, {scale_words(result)}", x=0.02, ha="left", fontsize=8, color="#555555")
        figure.tight_layout()
    return figure


def colours(true: list[dict[str, Any]], predicted: list[dict[str, Any]]) -> dict[str, list[str]]:
    """A predicted group has the colour of the true one that it shares most members with, each taken once; the others have colours of their own."""
    free = {number: {str(member) for member in group["members"]} for number, group in enumerate(true)}
    own, others = [], itertools.cycle([*GROUPS[len(true) :], "#333333"])
    for group in predicted:
        members = {str(member) for member in group["members"]}
        shared = {number: len(members & there) / len(members | there) for number, there in free.items()}
        best = max(shared, key=lambda number: shared[number], default=None)
        if best is None or not shared[best]:
            own.append(next(others))
        else:
            own.append(GROUPS[best % len(GROUPS)])
            del free[best]
    return {"true": [GROUPS[number % len(GROUPS)] for number in range(len(true))], "predicted": own}


def _panel(axes: Axes, shown: dict[str, Any], which: str, coloured: list[str], names: list[str]) -> None:
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


FIGURES: dict[str, Maker] = {
    "court_scene": court_scene,
    "plaza_scene": plaza_scene,
    "query_designs": query_designs,
    "self_attention": self_attention,
    "cost": cost,
}

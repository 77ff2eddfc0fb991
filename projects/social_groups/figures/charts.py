"""The designs side by side, and what self attention costs."""

from matplotlib.figure import Figure

from projects.social_groups.figures.scenes import GROUPS
from regard_lab.report.figures import LINES, Results, data_ticks, house_style, plain_log_ticks, scale_words, seed_dots


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
        for index, name in enumerate(names):
            line = sorted(
                (row.metrics["tokens"].mean, row.metrics["attention_s"].mean)
                for row in rows
                if row.key["self_attention"] == name
            )
            x, y = zip(*line, strict=True)
            axes.plot(x, y, LINES[index % len(LINES)], marker="o", markersize=4, color=GROUPS[index], label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        data_ticks(axes.xaxis, (row.metrics["tokens"].mean for row in rows), "{:,.0f}", room=0.1)
        plain_log_ticks(axes.yaxis)
        axes.set_xlabel("tokens")
        axes.set_ylabel("time (s)")
        axes.legend(loc="best")
        axes.set_title(scale_words(result), loc="left", fontsize=8, color="#555555")
    return figure

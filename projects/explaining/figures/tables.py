"""What the tables say: which definitions are distributions, how free attention is, and what it agrees with."""

from matplotlib.figure import Figure

from projects.explaining.figures.common import COLOURS, DEFINITIONS, RED, note
from regard_lab.experiment.results import Result, Row
from regard_lab.report import hover
from regard_lab.report.figures import Results, data_ticks, house_style, seed_titles


def distributions(results: Results) -> Figure | None:
    """Share of explained rows that are probability distributions, by definition; a dot is a model and a set of texts."""
    result = results.best("definitions")
    if result is None:
        return None
    names = [*DEFINITIONS, "E6"]
    with house_style():
        figure = Figure(figsize=(6.4, 2.8))
        axes = figure.subplots()
        for place, name in enumerate(names):
            rows = [row for row in result.rows if row.key["attention"] == name and "distributions" in row.metrics]
            for number, row in enumerate(rows):
                mark = "o" if row.key["model"] == "encoder" else "s"
                height = place + 0.06 * (number - len(rows) / 2)
                axes.plot(row.metrics["distributions"].mean, height, mark, color=COLOURS[name], markersize=5, alpha=0.8)
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
        axes.set_xlabel("rows that are distributions (%); ○ small encoder, □ BERT")
        note(figure, result)
    return figure


def freedom(results: Results) -> Figure | None:
    """How far the heaviest weight can move when output, sum and sign are kept, by length; values are 16 wide. Up to 17 tokens: not at all."""
    result = results.best("identifiability")
    if result is None:
        return None
    with house_style():
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.subplots()
        for weights, line in (("trained", "-"), ("random", "--")):
            rows = along(result, model="encoder", weights=weights, key_width=16)
            for metric, colour, quantity in (
                ("top_range", RED, "range of the heaviest weight"),
                ("max_weight", "#4d4d4d", "the weight itself"),
            ):
                points = [(row.key["length"], row.metrics[metric].mean) for row in rows if metric in row.metrics]
                if points:
                    axes.plot(
                        *zip(*points, strict=True),
                        line,
                        color=colour,
                        marker="o",
                        markersize=4,
                        label=f"{quantity}, {weights}",
                    )
        axes.axvline(17, color="#999999", linewidth=0.8)
        data_ticks(axes.xaxis, (float(row.key["length"]) for row in result.rows))
        axes.set_xlabel("tokens")
        axes.set_ylabel("weight")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2)
        note(figure, result)
    return figure


def agreement(results: Results) -> Figure | None:
    """Kendall's τ of the weights with gradient and with occlusion, raw and effective; the small encoder, one group per
    data set. Dots are seeds, bars their mean."""
    result = results.best("faithfulness")
    if result is None:
        return None
    names = ("raw", *DEFINITIONS)
    sets = list(dict.fromkeys(str(row.key["data"]) for row in result.rows))
    with house_style():
        figure = Figure(figsize=(9.6, 3.4), layout="constrained")
        for axes, importance in zip(figure.subplots(1, 2, sharey=True), ("gradient", "occlusion"), strict=True):
            for place, name in enumerate(names):
                rows = [row for row in result.rows if row.key["attention"] == name and row.key["model"] == "encoder"]
                for number, row in enumerate(row for row in rows if row.metrics):
                    metric = row.metrics[f"tau_{importance}"]
                    at = sets.index(str(row.key["data"])) + 0.13 * (place - 2.5)
                    (dots,) = axes.plot(
                        [at] * metric.n, metric.values, "o", color=COLOURS[name], markersize=3, alpha=0.6, mew=0
                    )
                    hover.titles(dots, seed_titles(row, metric))
                    axes.plot(
                        at, metric.mean, "_", color=COLOURS[name], markersize=9, mew=2, label=None if number else name
                    )
            axes.set_xticks(range(len(sets)), [name.replace("_", "\n") for name in sets])
            axes.set_ylabel(f"τ with {importance}")
        figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize=8)
        note(figure, result)
    return figure


def along(result: Result, **key: str | int) -> list[Row]:
    """Rows that contain this key, by length."""
    return sorted(
        (row for row in result.rows if key.items() <= row.key.items()), key=lambda row: float(row.key["length"])
    )

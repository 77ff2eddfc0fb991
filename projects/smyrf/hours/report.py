"""The works of all tables as one Markdown table, with their hours."""

from projects.smyrf.hours.work import Work

# Of an A100: operations a second at most (NVIDIA's data sheet: 19.5 TFLOPS in float32, 156 in TF32), and the share that is sustained [our choice].
RATES = {"float32": 0.5 * 19.5e12, "TF32": 0.3 * 156e12}


def report(tables: dict[str, list[Work]]) -> str:
    """The works of each table in a Markdown table, and their sums."""
    lines = [
        ["table", "work", "times", "GFLOP each", "PFLOP", *(f"hours in {rate}" for rate in RATES), "where it runs"],
    ]
    for table, works in tables.items():
        for work in works:
            cells = [f"`{table}`", work.what, f"{work.times:,}", short(work.flops / 1e9), *amounts([work])]
            lines.append([*cells, "GPU" if work.gpu else "CPU"])
    for gpu in (True, False):
        works = [work for own in tables.values() for work in own if work.gpu == gpu]
        lines.append(["all", "", "", "", *amounts(works), "GPU" if gpu else "CPU"])
    lines.insert(1, ["---", "---", *["---:"] * (len(lines[0]) - 3), "---"])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def amounts(works: list[Work]) -> list[str]:
    """Their operations together in 10¹⁵, and the hours at each rate."""
    total = sum(work.times * work.flops for work in works)
    return [short(total / 1e15), *(short(total / rate / 3600) for rate in RATES.values())]


def short(value: float) -> str:
    """Three digits; whole where there are more, and no more than two places."""
    return (
        "< 0.01"
        if value < 0.01
        else f"{value:,.0f}"
        if value >= 100
        else f"{value:.1f}"
        if value >= 10
        else f"{value:.2f}"
    )

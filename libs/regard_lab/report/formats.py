"""A table as csv, Markdown and LaTeX: the same lines and numbers as its page."""

import csv
import io

from regard_lab.report.view import NOT_COMPARED, Entry, Line, TableView

TEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "≈": r"$\approx$",
    "×": r"$\times$",
    "µ": r"$\mu$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "→": r"$\rightarrow$",
    "—": "---",
    "–": "--",
}


def as_csv(table: TableView) -> str:
    """One line per row and scale, numbers in full: `<metric> <what> [unit]` for paper, mean, sd, n, difference."""
    fields = list(dict.fromkeys(field for line in table.lines for field in line.key))
    header = [*fields, "scale", "data", "status", "stale"]
    for column in table.published.columns:
        unit = f" [{column.unit}]" if column.unit else ""
        header += [f"{column.name} {what}{unit}" for what in ("paper", "mean", "sd")]
        header += [f"{column.name} n", f"{column.name} difference{unit}"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    for line in table.lines:
        start = [*(line.key.get(field, "") for field in fields), line.scale_text, line.data_text]
        status = f"{line.status}: {line.reason}" if line.reason else line.status
        values = [value for entry in line.entries for value in _csv_values(entry)]
        writer.writerow([*start, status, "yes" if line.stale else "no", *values])
    return text.getvalue()


def _csv_values(entry: Entry) -> list[str | float | int]:
    ours, difference = entry.ours, entry.difference
    published = "" if entry.published is None else entry.published
    if ours is None:
        return [published, "", "", "", ""]
    gap = difference if difference is not None else NOT_COMPARED if entry.published is not None else ""
    return [published, ours.mean, "" if ours.sd is None else ours.sd, ours.n, gap]


def in_words(entry: Entry) -> str:
    """ "71.90 ± 0.31 (5); paper ≈ 78; −6.10 points"."""
    ours = f"{entry.mean_sd} ({entry.ours.n})" if entry.ours else "—"
    paper = f"paper {entry.paper_text}" if entry.published is not None else ""
    return "; ".join(part for part in (ours, paper, entry.difference_text) if part)


def _header(table: TableView) -> list[str]:
    units = [f"{c.label} ({c.unit})" if c.unit else c.label for c in table.published.columns]
    return ["row", "scale", "data", "status", *units]


def _words(line: Line) -> list[str]:
    row = f"{line.name}, {line.detail}" if line.detail else line.name
    return [row, line.scale_text, line.data_text, line.status_text, *(in_words(entry) for entry in line.entries)]


def as_markdown(table: TableView) -> str:
    """A GitHub table under its title; each entry: ours mean ± sd (n); the paper's; the difference."""
    rows = [_header(table), ["---"] * len(_header(table)), *(_words(line) for line in table.lines)]
    lines = ["| " + " | ".join(_markdown(cell) for cell in row) + " |" for row in rows]
    return (
        f"**{_markdown(table.published.title)}** (ours mean ± sd (n); paper; difference)\n\n" + "\n".join(lines) + "\n"
    )


def _markdown(text: str) -> str:
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").split())


def as_tex(table: TableView) -> str:
    """A `tabular` for booktabs."""
    rows = [" & ".join(_tex(cell) for cell in row) + r" \\" for row in (_header(table), *map(_words, table.lines))]
    head, *body = rows
    columns = "l" * len(_header(table))
    title = f"% {' '.join(table.published.title.split())}: ours mean ± sd (n); paper; difference"
    lines = [
        title,
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _tex(text: str) -> str:
    return "".join(TEX.get(letter, letter) for letter in " ".join(text.split()))

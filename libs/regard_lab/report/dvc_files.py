"""Small files for `dvc metrics` and `dvc plots`, which show what a change of code or config did to verdicts and
numbers.

metrics.json                    per paper: claims by verdict, tables by what has been run, results that are stale
plots/<paper>-<table>.csv       per table: its first claim's metric (else its first column), one bar per row, at the best scale with a result
"""

import csv
import io
import json
from collections import Counter

from regard_lab.common.formatting import label
from regard_lab.report.view import PaperView, TableView


def metrics(views: list[PaperView]) -> str:
    """What `dvc metrics show` prints, by paper."""
    by_paper = {}
    for view in views:
        run = [table for table in view.tables if not table.published.input]
        best = Counter(next(iter(table.results), "none") for table in run)
        by_paper[view.paper.name] = {
            "claims": view.counts,
            "tables": {scale: best[scale] for scale in ("paper", "laptop", "quick", "none")},
            "stale": sum(len(table.stale) for table in run),
        }
    return json.dumps(by_paper, indent=1) + "\n"


def plot(view: PaperView, table: TableView) -> str | None:
    """The values of one metric of a table as `row,value,metric,scale`; `None` where nothing has been run."""
    scale, lines = table.groups[0]
    columns = [column.name for column in table.published.columns]
    if scale is None or not columns:
        return None
    claimed = Counter(claim.claim.metric for claim in view.claims if claim.claim.table == table.name)
    metric = claimed.most_common(1)[0][0] if claimed else columns[0]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "value", "metric", "scale"])
    for line in lines:
        ours = line.entries[columns.index(metric)].ours
        if ours is not None:
            writer.writerow([label(line.key), f"{ours.mean:.6g}", metric, scale])
    return text.getvalue()

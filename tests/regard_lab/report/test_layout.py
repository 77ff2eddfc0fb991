"""A table on its page: whom a row is compared with, by how much, and what comes first."""

from pathlib import Path

import pytest

from regard_lab.experiment.table_file import Column
from regard_lab.report.layout import baseline_of, difference, layout
from regard_lab.report.site import collect
from tests.regard_lab.report.sample_site import current
from tests.regard_lab.samples import row

SOFTMAX = {"attention": "softmax"}


@pytest.mark.parametrize(
    ("key", "keys", "reference", "baseline"),
    [
        ({"attention": "super"}, [SOFTMAX, {"attention": "super"}], SOFTMAX, SOFTMAX),
        (  # like it in all else, whatever the reference has
            {"attention": "super", "heads": 2},
            [{"attention": "softmax", "heads": 4}, {"attention": "softmax", "heads": 2}],
            {"attention": "softmax", "heads": 4},
            {"attention": "softmax", "heads": 2},
        ),
        (  # nothing in common: the reference itself
            {"attention": "smyrf", "rounds": 2},
            [{"attention": "softmax", "tokens": 64}, {"attention": "softmax", "tokens": 128}],
            {"attention": "softmax", "tokens": 128},
            {"attention": "softmax", "tokens": 128},
        ),
        ({"attention": "super", "width": 8}, [{"attention": "softmax", "width": 16}], SOFTMAX, None),
        ({"probe": "count"}, [{"probe": "count"}], SOFTMAX, None),
    ],
)
def test_a_row_is_compared_with_its_like(
    key: dict[str, str | int | float | bool],
    keys: list[dict[str, str | int | float | bool]],
    reference: dict[str, str | int | float | bool],
    baseline: dict[str, str | int | float | bool] | None,
) -> None:
    assert baseline_of(key, keys, [reference]) == baseline


def test_differences_are_paired_where_seeds_are_shared() -> None:
    column = Column("accuracy", "accuracy", "%", 1)
    ours = row({"attention": "new"}, {"accuracy": [71.0, 74.0, 75.0]})
    theirs = row(SOFTMAX, {"accuracy": [70.0, 72.0, 74.0]})
    gap = difference(column, ours, theirs)
    assert gap is not None
    assert (gap.text, gap.interval) == ("+1.3", "[−0.1, 2.8]")  # 4/3 ± 4.303 · 0.577 / √3
    assert "3 seeds, paired" in gap.title
    other = row(SOFTMAX, {"accuracy": [70.0, 72.0, 74.0]}, seeds=[7, 8, 9])
    unpaired = difference(column, ours, other)
    assert unpaired is not None
    assert "unpaired" in unpaired.title
    assert (
        difference(
            column, row({"attention": "new"}, {"accuracy": [3.0] * 3}), row(SOFTMAX, {"accuracy": [2.0] * 3})
        ).interval
        == ""
    )  # type: ignore[union-attr]
    assert difference(column, ours, None) is None


def test_what_claims_rest_on_comes_first_and_empty_columns_are_folded(root: Path) -> None:
    later = root / "projects" / "sample" / "tables" / "scores.yaml"
    later.write_text(later.read_text().replace("  memory: {", "  nothing: {label: nothing, unit: s}\n  memory: {", 1))
    table = collect(root, current).views[0].tables[0]
    laid = layout(table, ["memory"], {"memory": "lower"}, [{"attention": "old"}])
    assert [column.name for column in laid.columns] == ["memory", "accuracy"]
    assert laid.empty == ["nothing"]
    assert laid.published == {"memory", "accuracy"}
    assert laid.baselines == "attention old"
    rows = {shown.factors[0]: shown for _, shown_rows in laid.groups[:1] for shown in shown_rows}
    assert rows["old"].baseline
    assert not rows["new"].baseline
    assert [cell.best for cell in rows["new"].cells] == [True, False]
    assert rows["new"].cells[0].difference.text == "−5"  # type: ignore[union-attr]

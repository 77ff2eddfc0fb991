"""Sizes and budgets are read from records."""

from dataclasses import replace

import pytest

from regard_lab.report.budgets import budget, duration
from tests.regard_lab.samples import result, row


def test_sums_of_the_records() -> None:
    one = result(
        row({"attention": "old"}, {"accuracy": [1.0, 2.0]}), row({"attention": "new"}, {"accuracy": [1.0, 2.0]})
    )
    records = {
        cell: {
            "wall_time_s": 1800.0,
            "environment": {"device": "AMD EPYC" if number else "Xeon"},
            "identity": {
                "config": {"budget": {"epochs": 2, "held_out_examples": None}, "data": {"length": 32 * (number + 1)}}
            },
        }
        for number, cell in enumerate(cell for row in one.rows for cell in row.cells)
    }
    spent = budget(replace(one, records=records))
    assert (spent.rows, spent.runs, spent.seeds, spent.time) == (2, 4, "2", "2.0 h")
    assert spent.machines == "AMD EPYC (3 runs); Xeon (1 runs)"
    assert spent.settings == [("epochs", "2")]
    assert spent.varied == [("length", "32 to 128")]


def test_nothing_recorded() -> None:
    spent = budget(replace(result(row({"attention": "old"}, {}, status="not run", seeds=[])), records={}))
    assert (spent.runs, spent.seeds, spent.machines) == (0, "no", "not recorded")


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.2, "under a second"), (42, "42 s"), (90, "1.5 min"), (7200, "2.0 h")]
)
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words

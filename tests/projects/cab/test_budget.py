"""What the tables multiply: every trained table is counted, and a mechanism is where it is."""

import pytest

from projects.cab.budget import TABLES, WRITING, text_rows, works
from tests.projects.cab.cab_data import config_of


@pytest.mark.parametrize("table", ["mlm", "sr", "pcc_cross", "summary_cross", "lm"])
def test_a_trained_table_is_counted(table):
    config = config_of(f"table={table}")
    training, tests = works(table, [config])
    assert training.times > 0
    assert training.flops > tests.flops > 0
    assert training.memory > 0
    assert works("index", [config]) == []
    assert table in (*TABLES, *WRITING)


def test_windows_of_running_text_by_hand():
    rows = text_rows(["austen"], 1024, 512, None, 128)
    assert rows == {"train": int(2_930_000 / 2.45) // 512, "validation": 128, "test": 128}

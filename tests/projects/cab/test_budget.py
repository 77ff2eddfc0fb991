"""What the tables multiply: every trained table is counted, and a mechanism is where it is."""

import pytest

from projects.cab.budget import windows_of_text, works
from tests.projects.cab.cab_data import config_of


@pytest.mark.parametrize(
    "table", ["mlm", "sr", "pcc_cross", "summary_cross", "lm", "tts_self", "tts_causal", "tts_cross"]
)
def test_a_trained_table_is_counted(table):
    config = config_of(f"table={table}")
    training, *others = works(table, [config])
    assert training.times > 0
    assert training.flops > others[0].flops > 0
    assert training.memory > 0
    assert works("index", [config]) == []


def test_windows_of_running_text_by_hand():
    rows = windows_of_text(["austen", "shakespeare"], 512, None, 128)
    assert rows == {"train": 2_870_000 // 512, "validation": 128, "test": 128}

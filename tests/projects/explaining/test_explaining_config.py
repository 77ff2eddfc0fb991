"""The configs of the project: each composes at each scale and passes its check; what cannot run is refused with the numbers."""

from pathlib import Path

import pytest

from projects.explaining.check import check
from projects.explaining.project import PROJECT, Config
from regard_lab.config import as_overrides, compose, typed
from regard_lab.paper import load_paper

ROOT = Path(__file__).resolve().parents[3]


def config_of(*overrides: str) -> Config:
    return typed(Config, compose(PROJECT.conf(ROOT), list(overrides)).config)


@pytest.mark.parametrize("scale", ["quick", "laptop", "paper"])
@pytest.mark.parametrize("table", PROJECT.tables(ROOT))
def test_rows_compose_and_stand_in_the_papers_file(table, scale):
    spec = compose(PROJECT.conf(ROOT), [f"table={table}", f"scale={scale}"]).table
    published = load_paper(PROJECT.conf(ROOT).parent).tables[table]
    assert [row.key for row in published.rows] == spec.rows
    assert {column.name: column.unit for column in published.columns} == spec.metrics
    assert spec.seeds == {"quick": 1, "laptop": 3, "paper": 5}[scale]
    kinds = {}  # one row of each kind is enough: composing one takes a tenth of a second
    for row in spec.rows:
        kinds.setdefault((row.get("data"), row.get("model")), row)
    for row in kinds.values():
        composed = compose(PROJECT.conf(ROOT), [f"table={table}", f"scale={scale}", *as_overrides(row, spec.vary)])
        config = typed(Config, composed.config)
        check(config)
        assert config.data.kind == "made" or config.data.name in spec.data_sets


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("analysis.attention=E7", "analysis.attention must be one of raw, E1, .*got 'E7'"),
        ("data=majority model=bert", "no words that a pre-trained model knows"),
        ("data.kept=[1]", r"data.kept must name data.classes = 2 labels, two at least, got \[1\]"),
        ("analysis.length=200", "analysis.length must be 2 to data.length = 96, got 200"),
        ("analysis.texts=101", "analysis.texts = 101 of training.test_texts = 100"),
        ("model.value_width=0", "model.value_width must be at least 1, got 0"),
        ("data.length=600", "data.length must be 4 to 512 tokens, got 600"),
        ("training.learning_rate=0", "learning_rate positive, got 0.1 and 0"),
    ],
)
def test_a_config_that_cannot_run_is_refused(override, message):
    with pytest.raises(ValueError, match=message):
        check(config_of(*override.split()))

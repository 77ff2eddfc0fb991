from dataclasses import replace
from typing import Any

import pytest

from regard_lab.evidence.needs import few_items, hours_per_seed, shared_items
from regard_lab.experiment.results import Result
from regard_lab.experiment.table_file import SharedItems
from tests.regard_lab.evidence.claim_samples import NEW, OLD, claim, decide, two


def recorded(evidence: Result, config: dict[str, Any], seconds: float = 720.0) -> Result:
    cells = [cell for row in evidence.rows for cell in row.cells]
    return replace(evidence, records={cell: {"identity": {"config": config}, "wall_time_s": seconds} for cell in cells})


def test_an_undecided_equivalence_says_what_would_decide_it() -> None:
    evidence = recorded(two([71.0, 72.0, 73.0], [72.0, 71.5, 72.7]), {})
    verdict = decide(claim("equivalence", margin=1.0), evidence)
    assert verdict.verdict == "undecided"
    need = verdict.need
    assert need is not None
    assert need.truth == 0
    assert 0 < need.power < 0.5
    assert need.seeds is not None
    # two rows of 0.2 h each for every seed that is missing
    assert need.hours == pytest.approx((need.seeds - 3) * 0.4)
    assert verdict.sentence.endswith(need.sentence)
    assert f"{need.seeds} would have 80 %, about" in need.sentence


def test_what_is_beyond_the_margin_is_not_called_equal() -> None:
    verdict = decide(claim("equivalence", margin=1.0), two([71.0, 72.0, 73.0], [73.0, 73.5, 76.7]))
    assert verdict.verdict == "undecided"
    assert verdict.need is not None
    assert verdict.need.truth == pytest.approx(verdict.statistic["estimate"])
    assert "if the truth is what was seen" in verdict.sentence


def test_what_is_decided_needs_nothing() -> None:
    assert decide(claim("better"), two([9.0, 9.1, 9.3], [1.0, 1.1, 1.2])).need is None
    hopeless = decide(claim("better"), two([1.0, 3.0, 2.0], [2.0, 1.9, 2.09])).need
    assert hopeless is not None
    assert (hopeless.seeds, hopeless.hours) == (None, None)
    assert "not even 2,000 would have 80 %" in hopeless.sentence


def test_hours_are_known_only_if_every_row_has_them() -> None:
    evidence = recorded(two([1.0, 2.0], [1.0, 2.0]), {})
    assert hours_per_seed(evidence, [NEW, OLD]) == pytest.approx(0.4)
    assert hours_per_seed(replace(evidence, records={}), [NEW]) is None


def test_items_are_read_from_the_config_of_a_cell() -> None:
    evidence = recorded(two([1.0, 2.0], [1.0, 2.0]), {"test": {"texts": 400, "all": None}})
    four = claim("better", items=SharedItems("test.texts", {"accuracy": 4}))
    assert shared_items(four, evidence, NEW) == few_items(four, evidence, NEW) == 1600
    other = claim("better", items=SharedItems("test.texts"))
    assert (shared_items(other, evidence, NEW), few_items(other, evidence, NEW)) == (400, None)  # no share of items
    assert shared_items(claim("better", items=SharedItems("test.all")), evidence, NEW) is None
    assert shared_items(claim("better", items=SharedItems("no.such")), evidence, NEW) is None
    assert shared_items(claim("better"), evidence, NEW) is None
    without = SharedItems("test.texts", without=frozenset({"accuracy"}))
    assert shared_items(claim("better", items=without), evidence, NEW) is None

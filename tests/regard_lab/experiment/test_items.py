from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from regard_lab.common.errors import UserError
from regard_lab.common.files import write_json
from regard_lab.experiment import items
from regard_lab.experiment.items import ItemisedResult, Outcomes
from regard_lab.experiment.results import read_result, write_result
from regard_lab.experiment.run_result import RunResult
from tests.regard_lab.samples import result, row


def right(n: int, seed: int = 0) -> NDArray[np.float64]:
    return (np.random.default_rng(seed).random(n) < 0.8).astype(float)


def measured(n: int = 1000, seed: int = 0) -> ItemisedResult:
    values = right(n, seed)
    losses = np.random.default_rng(seed).gamma(2.0, 0.3, n)
    return ItemisedResult(
        {"accuracy": 100 * float(values.mean()), "loss": float(losses.mean())},
        items={"accuracy": values.tolist(), "loss": losses.tolist()},
    )


def test_what_is_kept_comes_back(tmp_path: Path) -> None:
    record = tmp_path / "cell-seed0.json"
    said = items.keep(measured(), "cell-seed0", record)
    assert said is not None
    assert said["n"] == {"accuracy": 1000, "loss": 1000}
    kept = items.read(items.path_beside(record), said["sha256"])["cell-seed0"]
    assert kept["accuracy"].values.tolist() == right(1000).tolist()
    assert kept["loss"].values == pytest.approx(measured().items["loss"], rel=2e-3)
    assert kept["loss"].numbers.tolist() == list(range(1000))
    assert items.keep(RunResult({"accuracy": 1.0}), "cell", record) is None


def test_a_thousand_right_or_wrong_take_little_room_and_always_the_same() -> None:
    cells = {f"seed{seed}": {"accuracy": Outcomes(right(25_000, seed), np.arange(25_000))} for seed in range(4)}
    content = items.packed(cells)
    assert len(content) < 4 * 25_000 / 8 + 60_000  # the bits, and the numbers of the items once for all
    assert content == items.packed(cells)
    back = items.unpacked(content)
    assert all((back[cell]["accuracy"].values == cells[cell]["accuracy"].values).all() for cell in cells)


@pytest.mark.parametrize("value", [1e6 + 0.5, 1e-9])
def test_what_half_a_float_cannot_hold_is_kept_in_a_whole_one(value: float) -> None:
    back = items.unpacked(items.packed({"c": {"m": Outcomes(np.array([value, value / 2]), np.arange(2))}}))
    assert back["c"]["m"].values == pytest.approx([value, value / 2], rel=1e-6)


def test_a_table_gathers_its_cells_and_a_result_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "results" / "scores.json"
    records = {}
    for cell in ("new-seed0", "new-seed1"):
        record = tmp_path / "runs" / f"{cell}.json"
        said = items.keep(measured(seed=len(records)), cell, record)
        records[cell] = (record, {"items": said})
    one = result(row({"attention": "new"}, {"accuracy": [80.0, 81.0]}))
    write_result(path, replace(one, items=items.collect(records, path)))
    again = read_result(path)
    assert set(again.outcomes) == set(records)
    assert "outcomes" not in path.read_text()
    items.path_beside(path).write_bytes(b"another")
    with pytest.raises(UserError, match=r"has the SHA-256 .* its result says"):
        read_result(path)
    items.path_beside(path).unlink()
    with pytest.raises(UserError, match="does not exist, but its result says"):
        read_result(path)
    assert items.collect({"c": (path, {})}, path) is None


def test_a_result_without_items_is_written_as_before(tmp_path: Path) -> None:
    one = result(row({"attention": "new"}, {"accuracy": [80.0]}))
    write_result(tmp_path / "now.json", one)
    before = asdict(one)
    del before["items"], before["outcomes"]
    write_json(tmp_path / "before.json", before)
    assert (tmp_path / "now.json").read_bytes() == (tmp_path / "before.json").read_bytes()


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        (
            {"items": {"accuracy": [1.0, 0.0, 0.0]}},
            "the mean of accuracy over 3 items is 0.333333, but the metric is 50",
        ),
        ({"items": {"accuracy": [1.0, 0.0]}, "numbers": [7]}, "2 outcomes for 1 different items"),
        ({"items": {"accuracy": [1.0, 0.0]}, "numbers": [7, 7]}, "2 outcomes for 1 different items"),
    ],
)
def test_items_that_are_not_the_metrics_are_refused(more: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        items.outcomes_of(ItemisedResult({"accuracy": 50.0}, **more))  # type: ignore[arg-type]

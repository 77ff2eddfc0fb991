"""Hours: what is counted by hand, on models of a few products, and every project's budget at its smallest."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from regard_lab import hours
from regard_lab.common.errors import UserError
from regard_lab.common.files import write_json
from regard_lab.experiment.project import find_project
from tests.paths import ROOT


def test_a_linear_map_by_hand() -> None:
    """3 × 5 products per row; backward only to the weights, as the input has no gradient; kept is the input."""
    counted = hours.count(lambda: nn.Linear(5, 3), ((1, 5), "float32"))
    assert counted == hours.Count(forward=2 * 15, backward=2 * 15, kept=4 * 5, parameters=18)
    assert counted.step_memory(batch=10) == 4 * 4 * 18 + 10 * 20
    two = hours.count(lambda: nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 2)), ((1, 5), "float32"))
    assert (two.forward, two.backward) == (2 * 15 + 2 * 6, 2 * 15 + 2 * 2 * 6)
    assert two.kept == 4 * 5 + 4 * 3


def test_what_is_kept_is_counted_once() -> None:
    class Square(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.map = nn.Linear(4, 4, bias=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.map(x)
            return y * y + y * x

    assert hours.count(Square, ((1, 4), "float32")).kept == 2 * 4 * 4  # x and y


def test_hours_and_memory_of_works() -> None:
    works = [hours.Work("a", 10, 67e12 * 0.5 * 360, memory=2 * hours.GIB), hours.Work("b", 1, 0.0, memory=hours.GIB)]
    assert hours.hours_of(works) == pytest.approx(1)
    assert hours.memory_of(works) == 2
    assert hours.memory_of([]) == 0


def test_a_mechanism_differs_by_its_formula() -> None:
    """Super has n n w products in place of those of two maps of values and keys: at n = w / 4 it multiplies less than softmax attention."""
    less = hours.attention_difference("efficient", 3, width=8, heads=2, n=4)
    assert less == 3 * -2 * (2 * 4 * 8 * 8)  # two of four projections, 2 per multiply-add
    assert hours.attention_difference("softmax", 3, width=8, heads=2, n=4) == 0


def test_examples_are_those_of_the_card() -> None:
    assert hours.examples("hub", "mnist", "train") == 55_000
    assert hours.examples("folder", "mnist", "train", most=100) == 100  # a folder's sizes are open: another source's
    with pytest.raises(UserError, match="the card of mnist gives no size for trian; it has train, validation, test"):
        hours.examples("hub", "mnist", "trian")


@pytest.mark.parametrize(
    ("paper", "table", "kind"),
    [
        ("better_attention", "mnist", "pictures"),
        ("cab", "lstf_cross", "windows of series"),
        ("cab", "lm", "windows of text"),
        ("cab", "mlm", "masked windows of text"),
        ("cab", "sr", "pictures"),
        ("cab", "pcc_self", "views"),
        ("cab", "summary_cross", "articles"),
        ("explaining", "definitions", "texts"),
        ("social_groups", "football", "scenes"),
    ],
)
def test_a_table_of_each_project(paper: str, table: str, kind: str) -> None:
    found = hours.table_hours(paper, table, "quick", ROOT)
    assert f"{kind}, forward and backward" in found.works
    assert found.petaflop > 0
    assert found.memory_gib > 0
    assert found.gpu_hours["32-true"] > found.gpu_hours["bf16-mixed"] > 0


def test_layers_of_social_groups_add_up() -> None:
    """A network of three layers of each kind, counted whole, is one layer of each and the differences that a second makes."""
    budget = importlib.import_module("projects.social_groups.budget")
    (row, *_) = hours.cells_of(find_project("social_groups", ROOT), "football", "quick", ROOT)
    cell = replace(row[1][0], model=replace(row[1][0].model, encoder_layers=3, decoder_layers=3, dropout=0.0))
    assert budget.counts(cell) == budget.of_layers(cell, 3, 3)


def test_nothing_is_counted_for_a_reason() -> None:
    row = hours.table_hours("cab", "patterns", "paper", ROOT)
    assert row.works == []
    assert "nothing: certification runs layers" in hours.show([row])


def test_a_cell_twice_is_twice_the_work_unless_it_is_shared() -> None:
    project = find_project("better_attention", ROOT)
    (row, *_) = hours.cells_of(project, "mnist", "quick", ROOT)
    (cell, *_) = row[1]
    once = hours.works_of(project, "mnist", [cell])
    assert hours.works_of(project, "mnist", [cell, cell]) == once


def test_rows_of_a_page_are_those_that_were_written(tmp_path: Path) -> None:
    assert hours.page_rows("cab", tmp_path) == []
    write_json(tmp_path / hours.HOURS, [{"paper": "cab", "table": "lm"}, {"paper": "smyrf", "table": "imdb"}])
    assert hours.page_rows("cab", tmp_path) == [{"paper": "cab", "table": "lm", "laptop_hours": None}]

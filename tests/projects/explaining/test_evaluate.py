"""Kept runs of this project, and its cells as on a machine with a GPU."""

import pytest
import torch

from projects.explaining.analyses import explained_layer, interventions
from projects.explaining.tasks import classification
from tests.far_device import run_far
from tests.kept_runs import check_kept
from tests.projects.explaining.test_models import RUNS, SMALL, config_of, place  # noqa: F401 (a fixture)


def forget() -> None:
    explained_layer._cache.clear()
    classification._texts.clear()


@pytest.fixture(autouse=True)
def fresh():
    forget()
    yield
    forget()


def config_for(table: str):
    return config_of(f"table={table}", "experiment=encoder_imdb", "analysis.attention=E4", *SMALL)


def test_a_kept_run_is_measured_again_and_loaded(place, tmp_path):  # noqa: F811
    model = check_kept(interventions.run, config_for("interventions"), tmp_path / "run", forget)
    assert model(torch.tensor([[3, 4, 5, 0]])).shape == (1, 2)


@pytest.mark.parametrize("table", list(RUNS))
def test_an_analysis_runs_on_a_far_device(place, tmp_path, monkeypatch, table):  # noqa: F811
    assert run_far(RUNS[table].run, config_for(table), tmp_path, monkeypatch) == set()

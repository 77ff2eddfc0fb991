"""Kept runs of this project, and its cells as on a machine with a GPU."""

import pytest
import torch

from projects.cab.tasks import forecasting, language_modelling, translation
from tests.far_device import run_far
from tests.kept_runs import check_kept
from tests.projects.cab.cab_data import config_of

TRAIN = {"lstf_self": forecasting.train, "lm": language_modelling.train, "translation": translation.train}


def test_a_kept_run_is_measured_again_and_loaded(made_up, tmp_path):
    config = config_of("table=lm", "attention.name=local", *made_up)
    model = check_kept(language_modelling.train, config, tmp_path / "run")
    assert model(torch.ones(2, 16, dtype=torch.long)).shape[:2] == (2, 16)


@pytest.mark.parametrize("table", list(TRAIN))
def test_a_cell_runs_on_a_far_device(made_up, tmp_path, monkeypatch, table):
    config = config_of(f"table={table}", "attention.name=softmax", *made_up)
    assert run_far(TRAIN[table], config, tmp_path, monkeypatch) == set()

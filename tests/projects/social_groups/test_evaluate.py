"""Kept runs of this project, and its cells as on a machine with a GPU."""

import torch

from projects.social_groups.tasks.recognition import train
from tests.far_device import run_far
from tests.kept_runs import check_kept
from tests.projects.social_groups.made_up import SMALL, config_of


def test_a_kept_run_is_measured_again_and_loaded(made_up_data, tmp_path):
    model = check_kept(train, config_of(*SMALL), tmp_path / "run")
    assert sum(weight.numel() for weight in model.parameters()) > 1000
    assert all(torch.isfinite(weight).all() for weight in model.parameters())


def test_a_cell_runs_on_a_far_device(made_up_data, tmp_path, monkeypatch):
    steps = run_far(train, config_of(*SMALL), tmp_path, monkeypatch)
    # The gradient of sampling a map has none in torch: its recipe says `deterministic: warn`.
    assert steps <= {"aten::grid_sampler_2d_backward"}

"""Windows of running text."""

from pathlib import Path

import pytest
import torch

from projects.better_attention.config import PROJECT
from projects.better_attention.data.windows import windows
from tests.configs import configs_of

TINY = ["data.vocabulary=262", "data.length=12"]

config_of = configs_of(PROJECT, default="table=lm")


def test_windows_follow_each_other_and_share_one_subword(novels):
    test = windows(config_of(*TINY).data, Path.cwd())["test"]
    assert test.shape[1] == 13
    assert torch.equal(test[:-1, -1], test[1:, 0])
    with pytest.raises(ValueError, match=r"subwords, a window needs 100000 \+ 1"):
        windows(config_of(*TINY, "data.length=100000").data, Path.cwd())

"""Windows of running text."""

from pathlib import Path

import numpy as np
import pytest
import torch

from projects.better_attention.config import PROJECT
from projects.better_attention.data import windows as module
from projects.better_attention.data.windows import type_of, windows
from regard_lab.data.subwords import encode, learn_tokenizer
from tests.configs import configs_of

TINY = ["data.vocabulary=262", "data.length=12"]

config_of = configs_of(PROJECT, default="table=lm")


def test_windows_follow_each_other_and_share_one_subword(novels):
    test = windows(config_of(*TINY).data, Path.cwd())["test"]
    assert test.shape[1] == 13
    assert torch.equal(test[:-1, -1], test[1:, 0])
    with pytest.raises(ValueError, match=r"subwords, a window needs 100000 \+ 1"):
        windows(config_of(*TINY, "data.length=100000").data, Path.cwd())


def test_windows_are_those_of_the_whole_text_at_once(novels, monkeypatch):
    """Written text by text, a few at a time, and read from a mapped file, they are what one list of all subwords gives."""
    monkeypatch.setattr(module, "TEXTS", 1)
    made = windows(config_of(*TINY).data, Path.cwd())
    tokenizer = learn_tokenizer(novels["train"].texts, 262)
    for split, texts in novels.items():
        numbers = torch.tensor([number for ids in encode(tokenizer, texts.texts) for number in ids])
        assert torch.equal(made[split].long(), numbers.unfold(0, 13, 12))
    assert made["train"].dtype == torch.uint16


def test_a_second_cell_reads_no_text(novels, monkeypatch):
    first = windows(config_of(*TINY).data, Path.cwd())["train"]
    monkeypatch.setattr(module.data, "stream_texts", lambda *_: pytest.fail("read again"))
    assert torch.equal(windows(config_of(*TINY).data, Path.cwd())["train"].long(), first.long())
    other = windows(config_of("data.vocabulary=262", "data.length=5").data, Path.cwd())[
        "train"
    ]  # another length, the same subwords
    assert other.shape[1] == 6
    with pytest.raises(pytest.fail.Exception, match="read again"):
        windows(config_of("data.vocabulary=263", "data.length=5").data, Path.cwd())


def test_a_large_vocabulary_has_four_bytes():
    assert type_of(65_536) is np.uint16
    assert type_of(65_537) is np.int32

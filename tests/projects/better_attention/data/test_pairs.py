"""Pairs: those that fit, padded between BEGIN and END."""

from pathlib import Path

from projects.better_attention.config import PROJECT
from projects.better_attention.data.pairs import bilingual
from regard_lab.data.subwords import BEGIN, END, PADDING, decode
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="table=translation")


def test_pairs_that_fit_are_padded_between_begin_and_end(parallel_data):
    parallel_data["test"].sources.append("a much longer sentence than fits into it")
    parallel_data["test"].targets.append("open")
    parallel_data["test"].sources.append("open")
    parallel_data["test"].targets.append("file menu file menu file menu")
    pairs = bilingual(config_of("data.vocabulary=290", "data.length=5").data, Path.cwd())
    test = pairs.splits["test"]
    assert test.sources.shape == (10, 5)  # neither of the two
    assert test.targets.shape == (10, 6)
    assert test.source_texts == parallel_data["test"].sources[:10]
    for row, text in zip(test.targets.tolist(), test.target_texts, strict=True):
        assert row[0] == BEGIN
        assert row.count(END) == 1
        assert set(row[row.index(END) + 1 :]) <= {PADDING}
        assert decode(pairs.target, [row]) == [text]

"""The trap of padding in trained models."""

import pytest
import torch

from projects.better_attention.config import PROJECT
from projects.better_attention.tasks import padding
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="table=padding")


@pytest.mark.parametrize("attention", ["softmax", "super", "super_unmasked"])
def test_padding_cell(texts_of_many_lengths, tmp_path, attention):
    cut = ("training.epochs=2", "training.batch_size=8", "data.length=6")
    config = config_of("table=padding", f"model.attention={attention}", *cut)
    metrics = padding.train(config, tmp_path).metrics
    assert metrics["padded_texts"] == pytest.approx(100 * 25 / 30)
    if attention != "super_unmasked":
        assert metrics["changed_predictions"] == 0
        assert metrics["test_accuracy"] == metrics["unpadded_test_accuracy"]


def test_each_text_is_read_without_its_padding(monkeypatch):
    """Lengths 2, 0 and 3: each text goes to the model cut to its own words, one without any as one token."""
    tokens = torch.tensor([[4, 5, 0], [0, 0, 0], [4, 5, 6]])
    asked = []

    def positive(model, part):
        asked.append(part.tolist())
        return torch.full((len(part),), part.shape[1] == 3)

    monkeypatch.setattr(padding, "positive", positive)
    assert padding.positive_unpadded(torch.nn.Identity(), tokens).tolist() == [False, False, True]
    assert sorted(asked) == [[[0]], [[4, 5]], [[4, 5, 6]]]

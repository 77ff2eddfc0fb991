"""The classifier of texts: the order of masks, padding, directions that are drawn anew, and what is trained."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from projects.smyrf.models import mask_order
from tests.projects.smyrf.tiny_texts import batch, classifier

# -- masks


def test_rows_of_two_texts_and_three_heads():
    keep = torch.tensor([[True, True], [True, False]])
    assert mask_order.rows_of(keep, 3, "right")[:, 1].tolist() == [True] * 3 + [False] * 3
    assert mask_order.rows_of(keep, 3, "released")[:, 1].tolist() == [True, False] * 3
    assert mask_order.wrong_rows(keep, 3) == 2  # rows 1 and 4 have the other text's


@pytest.mark.parametrize("texts", [1, 2, 8])
def test_of_texts_of_different_lengths_one_row_in_b_is_right(texts):
    keep = torch.arange(8) <= torch.arange(texts)[:, None]
    assert mask_order.wrong_rows(keep, 24) == 24 * (texts - 1)


def test_masks_in_the_right_order_are_the_adapters():
    texts = batch(9, 17, 5)
    assert torch.allclose(classifier("smyrf", "right")(*texts), classifier("smyrf")(*texts), atol=1e-6)
    alone = batch(9)
    assert torch.allclose(classifier("smyrf", "released")(*alone), classifier("smyrf")(*alone), atol=1e-6)
    assert not torch.allclose(classifier("smyrf", "released")(*texts), classifier("smyrf")(*texts), atol=1e-4)


def test_the_released_order_against_plain_loops():
    """One cluster, which is dense attention: row i keeps what the mask of text i mod b keeps, and what it drops attends among itself."""
    b, h, n, d = 3, 2, 6, 4
    q, k, v = torch.randn(3, b, h, n, d, generator=torch.Generator().manual_seed(0))
    keep = torch.arange(n) < torch.tensor([[6], [4], [1]])
    module = SimpleNamespace(layer_idx=0, config=SimpleNamespace())
    module.config.mask_order = {"order": "released", "rounds": 1, "cluster_size": n, "seed": 0}
    output, _ = mask_order.attention(module, q, k, v, keep)
    for text in range(b):
        for head in range(h):
            mask = keep[(text * h + head) % b]
            for side in (mask, ~mask):
                weights = (q[text, head, side] @ k[text, head, side].T / math.sqrt(d)).softmax(-1)
                expected = weights @ v[text, head, side]
                assert torch.allclose(output[text, side, head], expected, atol=1e-5)


# -- the model


@pytest.mark.parametrize("pool", ["mean", "first"])
@pytest.mark.parametrize(("attention", "mask"), [("softmax", None), ("smyrf", None), ("smyrf", "right")])
def test_more_padding_changes_nothing(attention, mask, pool):
    model = classifier(attention, mask, pool=pool)
    assert torch.allclose(model(*batch(9, 5)), model(*batch(9, 5, width=23)), atol=1e-6)
    assert torch.allclose(model(*batch(9, 5))[:1], model(*batch(9)), atol=1e-6)


def test_one_cluster_is_dense_attention():
    texts = batch(4, 3)
    assert torch.allclose(classifier("smyrf")(*texts), classifier()(*texts), atol=1e-6)
    texts = batch(20, 13)
    assert not torch.allclose(classifier("smyrf")(*texts), classifier()(*texts), atol=1e-4)


@pytest.mark.parametrize("mask", [None, "right"])
@pytest.mark.parametrize(("redraw", "moves"), [("never", (0, 0)), ("training", (1, 0)), ("always", (1, 1))])
def test_when_directions_are_drawn_anew(redraw, moves, mask):
    model, texts = classifier("smyrf", mask, redraw=redraw, dropout=0.0), batch(20, 13)
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    for training, moved in zip((True, False), moves, strict=True):
        model.train(training)
        assert torch.allclose(model(*texts), model(*texts), atol=1e-6) != bool(moved)


def test_layers_that_are_not_trained_stay_and_have_no_dropout():
    model = classifier(trained_layers=1, pool="mean").train()
    assert {name.split(".")[1] + name.split(".")[3] for name in model.trained() if "layer" in name} == {"encoder1"}
    assert not any(module.training for module in model.encoder.encoder.layer[0].modules())
    assert all(module.training for module in model.encoder.encoder.layer[1].modules())
    assert all(layer.attention.self.dropout.p == 0 for layer in model.encoder.encoder.layer)

"""Attention maps: which cells leave them, by hand, and packed into images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from projects.better_attention.analyses.attention_maps import attention_maps, effective, packed, unpacked
from projects.better_attention.config import PROJECT, leaves_maps
from projects.better_attention.data.labelled import splits
from projects.better_attention.models.encoder import Encoder
from regard.observers import observe
from regard_lab.common import images
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="experiment=imdb")


@pytest.mark.parametrize("data", ["mnist", "imdb"])
def test_seed_0_leaves_attention_maps(labelled_data, tmp_path, data):
    config = config_of(f"table={data}", "model.attention=super")
    model = Encoder(config.data, config.model).eval()
    inputs = splits(config.data, tmp_path)["test"][0]
    shown = attention_maps(config, model, inputs)["attention_maps"]
    assert len(shown) == {"mnist": 2, "imdb": 1}[data]
    seen = []
    with observe(model, seen.append):
        model(inputs[:1])
    layer = seen[-1].layer
    by_hand = (seen[-1].probabilities[0] @ layer.mixing.weight).mean(0).detach()
    torch.testing.assert_close(effective(seen[-1]).detach(), by_hand, rtol=0, atol=1e-5)
    stored = unpacked(shown[0]["effective"])
    reach = float(by_hand.max() - by_hand.min())
    assert np.abs(stored - by_hand.numpy()).max() <= reach / 255
    assert unpacked(shown[0]["weights"]).sum(1) == pytest.approx(np.ones(len(stored)), abs=len(stored) * reach / 255)
    if data == "mnist":
        assert np.array_equal(images.decode(shown[1]["picture"]), inputs[1].numpy())
    else:
        assert shown[0]["words"] == ["bad"] * 32
    assert leaves_maps(config)
    others = (replace(config, seed=1), replace(config, model=replace(config.model, attention="efficient")))
    for other in (*others, config_of("table=cifar"), config_of("table=ablation_heads", "model.attention=super")):
        assert not leaves_maps(other)


def test_packed_matrices_keep_their_ends():
    matrix = torch.tensor([[-0.5, 0.0], [0.25, 1.0]])
    found = unpacked(packed(matrix))
    assert (found[0, 0], found[1, 1]) == (-0.5, 1.0)
    assert np.abs(found - matrix.numpy()).max() <= 1.5 / 255
    assert np.array_equal(unpacked(packed(torch.full((2, 2), 0.3))), np.full((2, 2), float(torch.tensor(0.3))))

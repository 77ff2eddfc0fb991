"""The atlas of heads: on tiny models with made-up texts and pictures, against the definition on each row."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from projects.explaining.analyses import atlas
from projects.explaining.config import PROJECT, check
from regard.effective import distributions, effective_attention
from regard_lab.common.errors import UserError
from regard_lab.experiment.table_file import read_table
from tests.configs import configs_of
from tests.paths import ROOT
from tests.projects.explaining.test_explain import Tokenizer, bert, llama

config_of = configs_of(PROJECT, default="experiment=atlas_minilm")


def vit():
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "image_size": 56, "patch_size": 14}
    return Dinov2Model(Dinov2Config(**sizes)).eval()


MODELS = {"minilm": bert, "smollm2": llama, "vit": vit}


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Made-up reviews and pictures, and a tiny model for each name."""
    random = np.random.default_rng(0)
    texts = [" ".join(map(str, random.integers(3, 40, size))) for size in (30, 4, 30, 30, 30)]
    images = random.integers(0, 255, (4, 60, 60, 3), dtype=np.uint8)
    parts = {"test": SimpleNamespace(texts=texts, images=images)}
    monkeypatch.setattr(atlas.data, "load", lambda name, root, source: parts)
    monkeypatch.setattr(atlas, "pretrained", lambda name, root: MODELS[name]())
    monkeypatch.setattr(atlas, "tokenizer_of", lambda name, root: Tokenizer())
    atlas.loaded.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    atlas.loaded.cache_clear()


def config_for(model: str, *overrides: str):
    config = config_of(
        f"experiment=atlas_{model}", "analysis.length=20", "analysis.texts=2", "analysis.rows=3", *overrides
    )
    check(config)
    return config


@pytest.mark.parametrize("model", MODELS)
def test_a_cell_is_the_mean_of_its_rows(place, model):
    measured = atlas.run(config_for(model), place)
    table = read_table(ROOT / "projects" / "explaining", "atlas")
    assert set(measured.metrics) == {column for columns in table.metrics.values() for column in columns}
    assert measured.metrics["tokens"] == (17 if model == "vit" else 20)  # 4 × 4 patches and the class token
    heads = np.array(measured.exhibits["heads"])
    assert heads.shape == (2, 4)
    assert measured.metrics["null_share"] == pytest.approx(heads.mean(), abs=0.01)
    assert measured.metrics["last_layer"] == pytest.approx(heads[1].mean(), abs=0.01)
    assert measured.metrics["least_head"] == pytest.approx(heads.min(), abs=0.01)
    assert 0 < measured.metrics["null_share"] < 100
    assert measured.metrics["e1_distributions"] <= measured.metrics["e2_distributions"] <= 100


def test_the_null_share_of_an_encoder_is_what_e1_takes_away(place):
    config = config_for("minilm", "analysis.texts=1")
    model, (inputs,) = bert(), atlas.inputs_of(config, place)
    layers = []
    with torch.no_grad(), atlas.observed(model, layers.append):
        model(**inputs)
    attention, values = layers[1].attention.double(), layers[1].values.double()
    attention = attention / attention.sum(-1, keepdim=True)
    e1, e2 = (effective_attention(attention, values, definition=name) for name in ("E1", "E2"))
    gone = (attention - e1).square().sum(-1) / attention.square().sum(-1)
    measured = atlas.run(config, place)
    assert measured.metrics["last_layer"] == pytest.approx(100 * float(gone.mean()), abs=1e-6)
    with torch.no_grad():
        one = atlas.by_layer(model, inputs, 3)[1]
    assert one.e1.tolist() == distributions(e1)[0].tolist()
    assert one.e2.tolist() == distributions(e2)[0].tolist()


def test_seeds_have_inputs_of_their_own_and_short_texts_are_left_out(place):
    first, second = (atlas.inputs_of(config_for("minilm", f"seed={seed}"), place) for seed in (0, 1))
    ids = [x["input_ids"].tolist() for x in (*first, *second)]
    assert len({str(one) for one in ids}) == 4
    assert {x["input_ids"].shape for x in (*first, *second)} == {(1, 20)}
    with pytest.raises(UserError, match="imdb has no 2 inputs of 20 tokens for seed 2"):
        atlas.inputs_of(config_for("minilm", "seed=2"), place)
    with pytest.raises(UserError, match="photographs has no 2 inputs of 20 tokens for seed 2"):
        atlas.inputs_of(config_for("vit", "seed=2"), place)


@pytest.mark.parametrize(("length", "side"), [(32, 70), (512, 308), (1370, 518), (17, 56), (16, 42)])
def test_a_picture_has_at_most_so_many_tokens(length, side):
    assert atlas.side_of(length) == side
    assert 1 + (side // 14) ** 2 <= length
    white = atlas.pixels(np.full((20, 20, 3), 255, dtype=np.uint8), 28)
    assert white.shape == (1, 3, 28, 28)
    assert white[0, :, 3, 3].tolist() == pytest.approx(
        [(1 - m) / s for m, s in zip(atlas.MEAN, atlas.DEVIATION, strict=True)], rel=1e-5
    )

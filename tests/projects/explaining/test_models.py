"""The two classifiers laid open, and a cell of every table on a few made-up texts, the published scale among them."""

import math
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from projects.explaining import data as project_data
from projects.explaining.analyses import (
    definitions,
    explained_layer,
    faithfulness,
    identifiability,
    interventions,
    rivals,
)
from projects.explaining.analyses.explained_layer import cut, explained_texts
from projects.explaining.analyses.faithfulness import gradient_importance, occlusion_importance
from projects.explaining.analyses.perturbations import erased, removed_to_flip
from projects.explaining.config import PROJECT
from projects.explaining.models.bert import Bert
from projects.explaining.models.classifier import Classifier, hidden_of
from projects.explaining.tasks import classification
from projects.explaining.tasks.classification import TrainingRun, build
from regard.effective import effective_attention
from regard_lab.experiment.composition import compose
from tests.configs import configs_of
from tests.paths import ROOT

RUNS = {
    "definitions": definitions,
    "interventions": interventions,
    "identifiability": identifiability,
    "faithfulness": faithfulness,
    "rivals": rivals,
}
SMALL = (
    *("training.epochs=1", "data.train_texts=32", "data.validation_texts=8", "data.test_texts=8"),
    *(
        "analysis.texts=4",
        "analysis.rows=20",
        "analysis.occluded=1",
        "analysis.shuffles=3",
        "analysis.adversary_steps=3",
    ),
)


config_of = configs_of(PROJECT, default="experiment=encoder_imdb")


def tiny_bert() -> BertModel:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    return BertModel(BertConfig(vocab_size=30, max_position_embeddings=512, **sizes)).eval()


class Tokenizer:
    """Words of texts made of numbers; [CLS] and [SEP] around them."""

    words = ("[PAD]", "[CLS]", "[SEP]", *(f"w{number}" for number in range(27)))

    def __len__(self):
        return len(self.words)

    def convert_ids_to_tokens(self, ids):
        return [self.words[number] for number in ids]

    def __call__(self, texts, *, max_length, **_):
        rows = [[*[1, *(3 + int(word) for word in text.split())][: max_length - 1], 2] for text in texts]
        return {"input_ids": torch.tensor([row + [0] * (max_length - len(row)) for row in rows])}


@pytest.fixture
def place(monkeypatch, tmp_path):
    """A root of its own with today's code, made-up texts and a tiny pre-trained model."""
    for name in ("libs", "projects"):
        (tmp_path / name).symlink_to(ROOT / name)
    random = np.random.default_rng(0)

    def texts(n):
        labels = np.arange(n) % 5
        words = [" ".join(map(str, random.integers(0, 27, random.integers(20, 60)))) for _ in labels]
        return SimpleNamespace(texts=words, labels=labels % 2, scores=labels - 2.0)

    parts = {f"{kind}{split}": texts(40) for kind in ("", "movie_") for split in ("train", "validation", "test")}
    monkeypatch.setattr(project_data.data, "load", lambda name, root, source: parts)
    monkeypatch.setattr(classification, "pretrained", lambda checkpoint, root: tiny_bert())
    monkeypatch.setattr(classification, "tokenizer_of", lambda checkpoint, root: Tokenizer())
    monkeypatch.chdir(tmp_path)
    explained_layer._cache.clear()
    classification._texts.clear()
    yield tmp_path
    explained_layer._cache.clear()
    classification._texts.clear()


def models() -> list:
    config = config_of("experiment=encoder_majority", "model.blocks=1")
    encoder = build(TrainingRun(config.data, config.model, config.training, 0), ROOT)
    return [encoder.eval(), Bert(tiny_bert(), 2, uniform=False, frozen=True).eval()]


def test_bert_is_hugging_faces():
    pretrained, tokens = tiny_bert(), torch.tensor([[1, 5, 6, 7, 2], [1, 8, 2, 0, 0]])
    model = Bert(pretrained, 3, uniform=False, frozen=True).eval()
    expected = model.head(pretrained(tokens, attention_mask=(tokens != 0).long()).last_hidden_state[:, 0])
    assert torch.allclose(model(tokens), expected, atol=1e-5)
    frozen = {name.split(".")[0] + name.split(".")[1] for name, p in model.named_parameters() if p.requires_grad}
    assert frozen == {"layers1", "headweight", "headbias"}


@pytest.mark.parametrize("which", [0, 1])
def test_padding_changes_nothing_and_the_explained_row_is_all(which):
    model = models()[which]
    tokens = torch.tensor([[2, 3, 3, 2, 3, 0, 0, 0], [3, 2, 2, 3, 2, 2, 3, 2]])
    assert torch.allclose(model(tokens)[:1], model(tokens[:1, :5]), atol=1e-5)
    layer = model.explained_layer(hidden_of(model, tokens), tokens != 0)
    assert torch.allclose(layer.attention.sum(-1), torch.ones(()))
    assert not layer.attention[0, :, 5:].any()
    again = model.classify(layer, torch.einsum("thm,thme->the", layer.attention, layer.values))
    assert torch.allclose(again, model(tokens), atol=1e-5)


@pytest.mark.parametrize("which", [0, 1])
def test_every_layer_replaced_by_its_effective_part_gives_the_same_logits(which):
    model = models()[which].double()
    tokens = torch.randint(2, 4, (2, 20), generator=torch.Generator().manual_seed(0))
    tokens[1, 15:] = 0
    indices = []

    def replacement(definition):
        def instead(index, attention, values, mask):
            indices.append(index)
            return effective_attention(attention, values, definition=definition, key_mask=mask)

        return instead

    for definition in ("E1", "E3", "E4", "E5"):
        assert torch.allclose(model(tokens, replacement(definition)), model(tokens), atol=1e-8), definition
    assert set(indices) == {0, 1}
    assert not torch.allclose(model(tokens, replacement("E6")), model(tokens), atol=1e-6)


def test_texts_are_cut_with_their_end_mark():
    tokens = torch.tensor([[1, 5, 6, 7, 2], [1, 5, 2, 0, 0]])
    assert cut(tokens, 4, list(Tokenizer.words)).tolist() == [[1, 5, 6, 2], [1, 5, 2, 0]]
    assert cut(tokens[1:], None, []).tolist() == [[1, 5, 2]]


@pytest.mark.parametrize(
    "overrides",
    [
        ("experiment=encoder_majority", "model.value_width=4", "data.length=12", "analysis.rows=12"),
        ("experiment=encoder_lookup", "training.schedule=constant"),
        ("experiment=bert_movie_snippets", "model.checkpoint=tiny"),
        ("experiment=bert_newsgroups", "data.kept=[0,1]", "scale=paper"),
    ],
    ids=["encoder", "lookup", "bert", "paper"],
)
def test_a_cell_of_every_table(place, overrides):
    shared = [*overrides, *SMALL, "training.batch_size=8"]
    for table, module in RUNS.items():
        names = ("raw", "E1") if table in ("faithfulness", "rivals") else ("E1", "E4")
        for name in names if table != "identifiability" else ("raw",):
            measured = module.run(config_of(*shared, f"analysis.attention={name}"), place)
            spec = compose(PROJECT, ROOT, [f"table={table}"]).spec
            assert set(measured.metrics) == set(spec.metrics)
            assert all(math.isfinite(value) for value in measured.metrics.values())
            if table == "definitions":
                assert measured.metrics["output_kept"] == 100.0
                assert len(measured.exhibits["text"]["words"]) == len(measured.exhibits["text"]["effective"])
            if table == "interventions":
                assert measured.metrics["kept_tvd"] < 1e-6
    assert (
        len(list((place / "runs" / "artefacts").glob("fit_classifier-*/artefact.json"))) == 3
    )  # own, uniform weights, another seed


def test_an_experiment_runs_without_a_table_and_what_is_no_definition_is_refused_before_training(place):
    measured = definitions.run(config_of("experiment=encoder_majority", *SMALL), place)
    assert measured.metrics["output_kept"] == 100.0
    artefacts = place / "runs" / "artefacts"
    before = set(artefacts.iterdir())
    with pytest.raises(ValueError, match=r"must be one of E1, .*, got 'uniform'"):
        definitions.run(config_of("experiment=encoder_majority", *SMALL, "seed=1", "analysis.attention=uniform"), place)
    assert set(artefacts.iterdir()) == before


class Sixth(Classifier):
    """A classifier of the sixth token alone: class 1 if it is token 3. What stands elsewhere, or is padding, counts for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1, dtype=torch.float64))

    def embed(self, tokens):
        return (tokens == 3).double()[..., None] * self.scale

    def lower(self, embedded, mask, replace=None):
        return embedded

    def upper(self, hidden, mask, replace=None):
        one = hidden[:, 5, 0] if hidden.shape[1] > 5 else 0 * hidden[:, 0, 0]
        return torch.stack([1 - one, one], -1)


def test_occlusion_in_place_leaves_all_other_tokens_where_they_are():
    """Tokens 3 2 3 2 2 3 2: the sixth decides. Removing any before it moves the seventh there, and blames all that stand before it."""
    tokens = torch.tensor([[3, 2, 3, 2, 2, 3, 2]])
    model = Sixth()
    layer = SimpleNamespace(mask=tokens != 0)
    texts = SimpleNamespace(model=model, tokens=tokens, layer=layer, predicted=model(tokens).softmax(-1).detach())
    frozen = Frozen(**vars(texts))
    moved = occlusion_importance(frozen, 1)[0]
    change = float((torch.tensor([1.0, 0.0]).double().softmax(-1) - torch.tensor([0.0, 1.0]).double().softmax(-1))[0])
    assert moved.tolist() == pytest.approx([0, 0, 0, 0, 0, change, 0])
    removed = occlusion_importance(frozen, 1, in_place=False)[0]
    assert removed.tolist() == pytest.approx([change] * 6 + [0])


@dataclass(frozen=True, eq=False)
class Frozen:
    """What `occlusion_importance` reads of texts; it can be cached, as they can."""

    model: nn.Module
    tokens: torch.Tensor
    layer: object
    predicted: torch.Tensor


def test_the_question_asks_the_explained_query_and_takes_part_in_no_order(place):
    config = config_of("experiment=encoder_lookup", *SMALL)
    texts = explained_texts(config, place)
    assert texts.special.sum(-1).tolist() == [1] * 4
    assert bool(texts.special[:, 0].all())
    model = build(TrainingRun(config.data, config.model, config.training, 0), ROOT).eval()
    tokens = texts.tokens[:1].expand(2, -1).clone()
    tokens[1, 0] = tokens[0, 0] % 2 + 98  # another question
    layer = model.explained_layer(hidden_of(model, tokens), tokens != 0)
    assert torch.allclose(layer.keys[0, :, 1:], layer.keys[1, :, 1:])
    assert not torch.allclose(layer.attention[0], layer.attention[1])
    even = build(TrainingRun(config.data, replace(config.model, pooling="uniform"), config.training, 0), ROOT).eval()
    logits = even(torch.cat([tokens, tokens[:, [0, *range(24, 0, -1)]]]))
    assert not torch.allclose(logits[0], logits[2])  # positions count
    moved = logits[:2] - logits[2:]
    assert torch.allclose(
        moved[0], moved[1], atol=1e-5
    )  # but by themselves: even weights see a sum over tokens and places


def test_importance_of_a_token_that_decides(place):
    """With one value kept and a linear head, occluding a token or its gradient can be worked out from the model itself."""
    texts = explained_texts(config_of("experiment=encoder_majority", "data.length=8", *SMALL), place)
    flow = gradient_importance(texts)
    assert torch.allclose(flow.sum(-1), torch.ones(4).double())
    in_place, removed = occlusion_importance(texts, 1)[0], occlusion_importance(texts, 1, in_place=False)[0]
    real = texts.tokens[0]
    for token in (0, 5):
        without = torch.cat([real[:token], real[token + 1 :]])[None]
        padded = real.clone()[None]
        padded[0, token] = 0
        for importance, tokens in ((removed, without), (in_place, padded)):
            change = (texts.model(tokens).softmax(-1)[0] - texts.predicted[0]).abs().sum() / 2
            assert float(importance[token]) == pytest.approx(float(change.detach()), abs=1e-9)


def test_erasure_by_hand(place):
    texts = explained_texts(config_of("experiment=encoder_majority", "data.length=8", *SMALL), place)
    rows = texts.layer.attention
    gone = torch.zeros_like(texts.layer.mask)
    gone[:, 0] = True
    kept = erased(rows, gone)
    assert not kept[:, :, 0].any()
    assert torch.allclose(kept.sum(-1), torch.ones(4, 1).double())
    order = torch.arange(8.0).flip(0).expand(4, -1)  # the first token goes first
    share = removed_to_flip(texts, rows, order)
    for text in range(4):
        flipped = [
            k
            for k in range(1, 8)
            if int(texts.probabilities(erased(rows, torch.arange(8) < k))[text].argmax())
            != int(texts.predicted[text].argmax())
        ]
        assert float(share[text]) == pytest.approx(flipped[0] / 8 if flipped else 1.0)

"""Tables `pretrained_swap` and `drop_in`: their configs, the probe, and whole cells on made-up reviews and pictures."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from projects.smyrf.analyses import floors
from projects.smyrf.analyses.pretrained import drop_in, pretrained_swap, reference
from projects.smyrf.analyses.pretrained.reference import DECAY, fit
from projects.smyrf.checks import check
from projects.smyrf.config import PROJECT, Config
from projects.smyrf.data import inputs
from projects.smyrf.figures.pretrained import FIGURES
from projects.smyrf.models import checkpoints
from regard_lab.data.images import Images
from regard_lab.data.texts import Texts
from regard_lab.experiment.composition import compose
from regard_lab.experiment.config import typed
from regard_lab.experiment.results import Metric, Result, Row
from regard_lab.experiment.tables import load_table
from regard_lab.report.figures import Results
from tests.configs import configs_of
from tests.paths import ROOT
from tests.projects.smyrf import tiny_checkpoints as tiny

config_of = configs_of(PROJECT, default="table=pretrained_swap")


@pytest.mark.parametrize("scale", ["quick", "laptop", "paper"])
def test_every_row_can_run(scale):
    data_sets = {"vit": "cifar10", "smollm2": "imdb", "minilm": "imdb"}
    for cells in load_table("smyrf", "pretrained_swap", scale, ROOT).rows:
        row, config = cells[0].key, typed(Config, cells[0].config)
        check(config)
        assert config.data.name == data_sets[row["model"]]
        whole = row["attention"] == "softmax"
        assert config.attention.rounds == (1 if whole else row["rounds"])
        assert config.attention.dedup is (False if whole else row["dedup"])
        assert config.pretrained.checkpoint == row["model"] or scale == "paper"


def test_the_probe_is_the_least_of_its_loss():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    features = torch.randn(60, 5, generator=generator) * torch.tensor([1.0, 10, 0.1, 1, 1]) + labels[:, None]
    probe = fit(features, labels, 3)
    weight, bias = probe.weight.clone().requires_grad_(), probe.bias.clone().requires_grad_()
    x = (features.double() - features.double().mean(0)) / features.double().std(0)
    loss = F.cross_entropy(x @ weight.T + bias, labels) + DECAY / 2 * weight.square().sum()
    for gradient in torch.autograd.grad(loss, [weight, bias]):
        assert float(gradient.abs().max()) < 1e-5
    assert torch.allclose(probe.logits(features), (x @ probe.weight.T + probe.bias))


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """Reviews whose class can be read, pictures whose class can be seen, and tiny models in place of the real ones."""
    words = tiny.WORDS

    def reviews(n):
        labels = [number % 2 for number in range(n)]
        return Texts.of(
            (" ".join((["good", "long"] if label else ["bad", "short"]) * 20 + words[number % 10 :]), label)
            for number, label in enumerate(labels)
        )

    def pictures(n):
        labels = np.arange(n) % 10
        images = np.random.default_rng(0).integers(0, 40, (n, 32, 32, 3), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[3 * label : 3 * label + 4] = 255
        return Images(images, labels.astype(np.int64))

    splits = {"imdb": reviews, "cifar10": pictures}
    monkeypatch.setattr(
        inputs.data, "load", lambda name, root, source: {split: splits[name](60) for split in ("train", "test")}
    )

    def artefact(make, config, data_sets, *, source, root, modules=()):
        folder = tmp_path / f"{make.__name__}-{abs(hash(config))}"
        if not folder.exists():
            folder.mkdir()
            make(config, folder)
        return folder

    monkeypatch.setattr(reference, "artefact", artefact)
    folders = {
        "minilm": tiny.bert(tmp_path / "bert"),
        "smollm2": tiny.gpt2(tmp_path / "gpt2"),
        "vit": tiny.dinov2(tmp_path / "dinov2"),
    }
    yield folders
    checkpoints.checkpoint.cache_clear()


SETTINGS = {
    "minilm": "pretrained.tokens=32 pretrained.train_examples=40",
    "smollm2": "pretrained.tokens=32",
    "vit": "pretrained.tokens=64 pretrained.train_examples=40",
}


@pytest.mark.parametrize("scale", ["quick", "paper"])
@pytest.mark.parametrize("model", ["minilm", "smollm2", "vit"])
def test_a_cell(model, scale, made_up, tmp_path):
    """At `paper` scale a tiny checkpoint stands where the hub's name does."""
    given = [
        f"scale={scale}",
        f"experiment=pretrained_{model}",
        f"pretrained.checkpoint={made_up[model]}",
        "pretrained.examples=10",
        "pretrained.timed=1",
    ]
    given += SETTINGS[model].split()
    whole = pretrained_swap.measure(config_of(*given, "attention.name=softmax"), tmp_path).metrics
    assert set(whole) == set(compose(PROJECT, ROOT, ["table=pretrained_swap", f"scale={scale}"]).spec.metrics)
    assert whole["score_memory"] == 100
    assert whole["cosine"] == pytest.approx(1, abs=1e-5)
    assert whole["agreement"] == 100
    swap = ["attention.name=smyrf", "attention.rounds=2", "attention.cluster_size=4"]
    first = pretrained_swap.measure(config_of(*given, *swap), tmp_path).metrics
    again = pretrained_swap.measure(config_of(*given, *swap), tmp_path).metrics
    once = pretrained_swap.measure(config_of(*given, *swap, "attention.dedup=true"), tmp_path).metrics
    timed = {"time_ratio"}
    assert {name: first[name] for name in first.keys() - timed} == {name: again[name] for name in again.keys() - timed}
    assert first["cosine"] < 0.9999
    assert once["cosine"] != first["cosine"]
    tokens = {"minilm": 32, "vit": 65}
    if model in tokens:
        assert first["score_memory"] == pytest.approx(
            100 * 2 * 4 / tokens[model], rel=0.06
        )  # clusters of 65 tokens are not all full
        assert whole["accuracy"] > 89  # nine of ten at least: the classes can be seen, and the probe sees them
    else:
        # own blocks of 4; half of the queries meet a first segment of 4 tokens, one of 8 and one of 16, the first of them in one round
        assert first["score_memory"] == 100 * (4 * 32 + 16 * 4 * (1 + 2 + 2)) / 32**2
        assert whole["perplexity"] > 1


@pytest.mark.parametrize("scale", ["quick", "laptop", "paper"])
def test_every_row_of_drop_in_can_run(scale):
    for cells in load_table("smyrf", "drop_in", scale, ROOT).rows:
        row, config = cells[0].key, typed(Config, cells[0].config)
        check(config)
        assert config.replacement.method == row["method"]
        assert config.replacement.share == row.get("share", 100) / 100


@pytest.mark.parametrize("model", ["minilm", "smollm2", "vit"])
def test_a_cell_of_drop_in(model, made_up, tmp_path):
    given = [
        "table=drop_in",
        "scale=laptop",
        f"experiment=drop_in_{model}",
        f"pretrained.checkpoint={made_up[model]}",
        "pretrained.examples=10",
        "pretrained.timed=1",
        *SETTINGS[model].split(),
    ]

    def cell(method, share, *more):
        chosen = [f"replacement.method={method}", f"replacement.share={share}"]
        return drop_in.measure(config_of(*given, *chosen, *more), tmp_path)

    dense, even, half = cell("softmax", 1), cell("even", 1), cell("smyrf", 0.5)
    assert set(half.metrics) == set(compose(PROJECT, ROOT, ["table=drop_in"]).spec.metrics)
    assert (dense.metrics["operations"], even.metrics["operations"]) == (100, 0)
    assert 40 < half.metrics["operations"] <= 50
    assert dense.metrics["agreement"] == 100
    assert dense.metrics["cosine"] == pytest.approx(1, abs=1e-5)
    assert half.metrics["cosine"] < 0.9999
    assert even.metrics["cosine"] < dense.metrics["cosine"]
    # Another seed reads other inputs, which keep their numbers.
    assert list(half.numbers) == list(range(10))
    assert list(cell("smyrf", 0.5, "seed=1").numbers) == list(range(10, 20))
    assert half.exhibits["options"]["cluster_size"] >= 1
    # The same seed draws the same.
    again = cell("smyrf", 0.5)
    assert {**again.metrics, "time_ratio": 0} == {**half.metrics, "time_ratio": 0}


def test_the_floor_of_drop_in(made_up, tmp_path):
    given = ["table=drop_in", "scale=laptop", "pretrained.examples=10"]
    words = floors.most_frequent(
        config_of(
            *given,
            "experiment=drop_in_smollm2",
            f"pretrained.checkpoint={made_up['smollm2']}",
            "pretrained.tokens=32",
        ),
        tmp_path,
    )
    # Seven of the ten reviews that are drawn are of one class, "good long good long …": of the 31 next tokens of each, 16 are "long".
    assert words.metrics["accuracy"] == pytest.approx(100 * 7 * 16 / 310)
    labels = floors.most_frequent(
        config_of(
            *given,
            "experiment=drop_in_vit",
            f"pretrained.checkpoint={made_up['vit']}",
            "pretrained.tokens=64",
            "pretrained.train_examples=40",
        ),
        tmp_path,
    )
    assert labels.metrics["accuracy"] == pytest.approx(10)  # ten pictures, one of each class


def test_seeds_read_other_inputs_and_too_few_are_an_error(made_up):
    model = checkpoints.checkpoint(str(made_up["minilm"]), ROOT)
    wanted = inputs.InputRange("texts", "imdb", "package", "test", 32, 0, 30)
    first, second = (inputs.inputs_of(model, replace(wanted, first=start), ROOT) for start in (0, 30))
    assert any(not torch.equal(one, other) for one, other in zip(first.tensors, second.tensors, strict=True))
    assert 5 < first.labels.sum() < 25  # a set's own order may have one class first
    assert first.labels.sum() + second.labels.sum() == 30
    with pytest.raises(ValueError, match="only 60 inputs fill 32 tokens; 61 are needed"):
        inputs.inputs_of(model, replace(wanted, first=31), ROOT)


def test_the_published_models_have_their_published_sizes():
    """Those that `paper` scale asks the hub for, built without memory from their configs."""
    from transformers import BertConfig, BertModel, Dinov2Config, Dinov2Model, LlamaConfig, LlamaForCausalLM

    with torch.device("meta"):
        sizes = {"hidden_size": 384, "num_attention_heads": 12, "num_hidden_layers": 6, "intermediate_size": 1536}
        minilm = BertModel(BertConfig(vocab_size=30522, **sizes))
        vit = Dinov2Model(Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518, patch_size=14))
        sizes = {"hidden_size": 576, "num_attention_heads": 9, "num_key_value_heads": 3, "num_hidden_layers": 30}
        config = LlamaConfig(vocab_size=49152, intermediate_size=1536, tie_word_embeddings=True, **sizes)
        smollm2 = LlamaForCausalLM(config)
    assert sum(p.numel() for p in minilm.parameters()) == 22_713_216
    assert sum(p.numel() for p in vit.parameters()) == 22_056_576
    assert sum(p.numel() for p in smollm2.parameters()) == 134_515_008


def test_figures_draw_what_there_is():
    assert all(make(Results([])) is None for make in FIGURES.values())

    def row(model, memory, **key):
        metrics = {"cosine": 0.9, "agreement": 80.0, "score_memory": memory}
        made = {name: Metric.of([value, value], "%") for name, value in metrics.items()}
        return Row({"model": model, **key}, made, "ok", "", [0, 1], ["a", "b"])

    rows = [row("vit", 100.0, attention="softmax")]
    rows += [row("vit", 50.0, attention="smyrf", rounds=2, cluster_size=343, dedup=once) for once in (False, True)]
    rows += [row("minilm", 50.0, attention="smyrf", rounds=4, cluster_size=16, dedup=False)]
    result = Result("smyrf", "pretrained_swap", "laptop", "", [SimpleNamespace(name="imdb", stands_in_for=None)], rows)
    for name in ("swap_similarity", "swap_agreement"):
        figure = FIGURES[name](Results([result]))
        assert [axes.get_title() for axes in figure.axes] == ["ViT-S/14, 1,370 tokens", "MiniLM-L6, 128"]
        assert len(figure.axes[0].lines) == 4  # seeds and mean of two rows; dense attention is no point of its own


def test_the_figure_of_drop_in_has_a_line_per_method_and_the_floor():
    def row(method, value, **share):
        metrics = {"cosine": Metric.of([value, value + 0.02], "")}
        return Row({"model": "vit", "method": method, **share}, metrics, "ok", "", [0, 1], ["a", "b"])

    rows = [row("softmax", 1.0), row("even", 0.3)]
    rows += [row("smyrf", 0.9, share=50), row("smyrf", 0.8, share=25), row("kde", 0.7, share=50)]
    figure = FIGURES["drop_in"](Results([Result("smyrf", "drop_in", "laptop", "", [], rows)]))
    (axes,) = figure.axes
    assert axes.get_title() == "ViT-S/14, 257 tokens"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["kde", "smyrf"]
    marks = {round(float(line.get_xdata()[0]), 3) for line in axes.lines if len(line.get_xdata()) == 1}
    assert marks == {0.91, 0.81, 0.71}
    assert [float(line.get_xdata()[0]) for line in axes.lines if line.get_color() == "#999999"] == [0.31]

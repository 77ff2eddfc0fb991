"""The analysis of trained attention: what is caught inside a model, the clusters, the numbers by hand, and every table on made-up models."""

import functools
import math
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from projects.smyrf.analyses.attention_maps import (
    cluster_membership,
    hash_ablation,
    singular_values,
    sparsity,
    subjects,
)
from projects.smyrf.analyses.attention_maps.clusters import Clustering, collisions
from projects.smyrf.analyses.attention_maps.vectors import Subject, Vectors, attending, capture, dense, result_with
from projects.smyrf.config import PROJECT
from projects.smyrf.figures.attention_maps import FIGURES
from regard.mechanisms.smyrf import SmyrfAttention
from regard.mechanisms.smyrf.hashing import SCHEMES
from regard_lab.common.images import decode
from regard_lab.experiment.composition import compose
from regard_lab.experiment.results import SCALES, Metric, Result, Row
from regard_lab.experiment.tables import Table, load_table
from regard_lab.report.figures import Results, svg
from tests.configs import configs_of

ROOT = Path(__file__).resolve().parents[4]
TABLES = {
    "lsh_ablation": hash_ablation.measure,
    "singular_values": singular_values.measure,
    "sparsity": sparsity.measure,
    "cluster_membership": cluster_membership.measure,
}


def vectors(n: int, m: int, seed: int = 0, b: int = 2, h: int = 3, d: int = 4) -> Vectors:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(b, h, length, d, generator=generator) for length in (n, m, m))
    return Vectors(q, k, v, 0.5)


def tiny_bert() -> Any:
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 8}
    return BertModel(BertConfig(vocab_size=50, **sizes), add_pooling_layer=False).eval()


def tiny_vit() -> Any:
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 14, "patch_size": 2}
    return Dinov2Model(Dinov2Config(**sizes)).eval()


def test_what_is_caught_is_what_the_layers_compute() -> None:
    model, ids = tiny_bert(), torch.arange(2, 22).view(2, 10)
    expected = model(ids).last_hidden_state
    caught = capture(Subject(lambda: model(ids).last_hidden_state, lambda attend: attending(model, attend)))
    torch.testing.assert_close(caught.result, expected)
    assert torch.equal(model(ids).last_hidden_state, expected)  # the model's own attention is back
    x, layer = model.embeddings(ids), model.encoder.layer
    for place, one in enumerate(caught.layers):  # by hand: each layer's maps on what the layer before gave
        attention = layer[place].attention.self
        for found, part in ((one.q, attention.query), (one.k, attention.key), (one.v, attention.value)):
            torch.testing.assert_close(found, part(x).view(2, 10, 2, 8).transpose(1, 2))
        assert one.scale == 8**-0.5
        torch.testing.assert_close(one.weights() @ one.v, dense(one))
        x = layer[place](x)
        x = x[0] if isinstance(x, tuple) else x
    assert len(caught.layers) == 3


def test_another_attention_is_put_in_layer_by_layer() -> None:
    model, ids = tiny_bert(), torch.arange(2, 12).view(1, 10)
    subject = Subject(lambda: model(ids).last_hidden_state, lambda attend: attending(model, attend))
    without_last = result_with(subject, lambda layer, x: dense(x) if layer < 2 else torch.zeros_like(x.v))
    with torch.no_grad():
        model.encoder.layer[2].attention.self.value.weight.zero_()
        model.encoder.layer[2].attention.self.value.bias.zero_()
        torch.testing.assert_close(without_last, model(ids).last_hidden_state)


def test_padded_inputs_are_refused() -> None:
    model, ids = tiny_bert(), torch.arange(2, 22).view(2, 10)
    mask = (torch.arange(10) < torch.tensor([[10], [7]])).long()
    refused = pytest.raises(ValueError, match=r"the inputs are padded \(a mask of shape \(2, 10\)\)")
    with refused, attending(model, lambda layer, x: dense(x)):
        model(ids, attention_mask=mask)
    assert model.config._attn_implementation != "smyrf-analysis"


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(("n", "m", "size"), [(16, 16, 4), (17, 17, 5), (16, 8, 4), (13, 9, 4)])
def test_labels_are_the_mechanisms_clusters(scheme: str, n: int, m: int, size: int) -> None:
    x, clustering = vectors(n, m), Clustering(3, size, scheme)
    directions = clustering.directions(x, 1, 2)
    queries, keys = clustering.labels(x, directions)
    assert queries.shape == (3, 2, 3, n)
    assert keys.shape == (3, 2, 3, m)
    assert min(queries.min(), keys.min()) == 0
    options = {"cluster_size": size, "scheme": scheme, "buckets": clustering.buckets(n)}
    met = SmyrfAttention.collisions(x.q, x.k, None, None, directions=directions, rounds=3, **options)
    assert torch.equal(queries[..., :, None] == keys[..., None, :], met)
    assert torch.equal(collisions(queries, keys), met.any(0))
    once = Clustering(3, size, scheme, dedup=True)
    union = collisions(queries, keys)
    weights = (x.weights() * union) / (x.weights() * union).sum(-1, keepdim=True)
    torch.testing.assert_close(once.attend(x, directions), weights @ x.v)


def test_more_clusters_than_keys_are_refused() -> None:
    x = vectors(16, 4)
    clustering = Clustering(1, 2)
    with pytest.raises(ValueError, match="8 clusters of 4 keys share keys: take cluster_size > 2"):
        clustering.labels(x, clustering.directions(x, 0, 0))


def test_draws_belong_to_seed_and_layer() -> None:
    x, clustering = vectors(8, 8), Clustering(2, 4)
    first = clustering.directions(x, 0, 0)
    assert torch.equal(first, clustering.directions(x, 0, 0))
    assert not torch.equal(first, clustering.directions(x, 0, 1))
    assert not torch.equal(first, clustering.directions(x, 1, 0))
    assert Clustering(2, 4, "reformer").buckets(17) == 6  # five clusters


def test_captured_mass_by_hand() -> None:
    """Two queries, two keys: query 0 gives 3/4 to key 0, query 1 gives 3/4 to key 1. In round 0 each meets the other's key, in round 1 its own."""
    q = torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    x = Vectors(q, q * math.log(3), q, 1.0)
    crossed, own = torch.tensor([[[[0, 1]]]]), torch.tensor([[[[1, 0]]]])
    straight = crossed
    assert hash_ablation.captured_mass(x, straight, own) == pytest.approx(0.25)
    assert hash_ablation.captured_mass(x, straight, straight) == pytest.approx(0.75)
    both = hash_ablation.captured_mass(x, torch.cat([straight, straight]), torch.cat([own, straight]))
    assert both == pytest.approx(1.0)


def test_random_clusters_hold_what_chance_says() -> None:
    x, clustering = vectors(64, 64, h=8), Clustering(2, 16, "random")
    found = [hash_ablation.captured_mass(x, *clustering.labels(x, clustering.directions(x, s, 0))) for s in range(40)]
    assert sum(found) / 40 == pytest.approx(1 - (3 / 4) ** 2, abs=0.01)
    assert hash_ablation.key_share(x, clustering) == 1 / 4
    assert hash_ablation.key_share(vectors(64, 16), Clustering(1, 16)) == 1 / 4  # 4 of 16 keys


def test_spectra_by_hand() -> None:
    eye, flat = torch.eye(4), torch.full((4, 4), 0.25)
    half = torch.block_diag(torch.full((2, 2), 0.5), torch.full((2, 2), 0.5))
    values = torch.stack([torch.linalg.svdvals(x) for x in (eye, flat, half)])
    found = singular_values.summary(values)
    assert found["index_median"] == 2  # of 4, 1 and 2
    assert (found["index_lower"], found["index_upper"]) == (1.5, 3)
    assert found["index_share"] == 50
    assert found["stable_rank"] == pytest.approx(2)
    assert found["full_rank_heads"] == pytest.approx(100 / 3)
    assert found["largest_least"] == pytest.approx(1)
    assert singular_values.summary(3 * values)["stable_rank"] == pytest.approx(2)
    shown = singular_values.curves(values[None])
    assert shown["index"] == [0, 1, 2, 3]
    assert shown["curves"][0][2] == pytest.approx([1, 1, 0, 0], abs=1e-4)


def test_sparsity_by_hand() -> None:
    one = torch.tensor([[[[0.7, 0.295, 0.005], [0.32, 0.34, 0.34]]]])
    (found,) = sparsity.statistics(one).tolist()
    assert found == pytest.approx([100 * 3 / 6, 100 / 6, 0.7])  # 0.295, 0.005 and 0.32 are below 1/3
    exact = sparsity.statistics(torch.tensor([[[[0.5, 0.25, 0.125, 0.125]]]]))
    assert exact[0].tolist() == [50, 0, 0.5]


def test_neighbours_by_hand() -> None:
    """
    0 0 1
    0 1 1      7 pairs of neighbours: 4 agree. Any two: 3 of 0, 3 of 1, 6 of 15 pairs.
    """
    labels = torch.tensor([[[[0, 0, 1], [0, 1, 1]]]], dtype=torch.int16)
    neighbours, any_two = cluster_membership.together(labels)
    assert neighbours == pytest.approx(100 * 4 / 7)
    assert any_two == pytest.approx(100 * 6 / 15)
    grid = cluster_membership.grid_of(torch.arange(7).expand(1, 1, 7), (2, 3))
    assert grid[0, 0].tolist() == [[1, 2, 3], [4, 5, 6]]  # the class token comes first


def words(text: str, truncation: bool, max_length: int) -> dict[str, list[int]]:
    return {"input_ids": [1, *(2 + len(word) for word in text.split())][:max_length]}


def test_token_rows_by_hand() -> None:
    texts = ["a bb", "a<br />bb ccc dd", "b", "cc cc cc", "dd a a"]
    assert subjects.token_rows(words, texts, 4, 0, 1).tolist() == [[1, 3, 4, 5]]
    assert subjects.token_rows(words, texts, 4, 1, 2).tolist() == [[1, 4, 4, 4], [1, 4, 3, 3]]
    with pytest.raises(ValueError, match="only 3 of 5 texts fill 4 tokens; 4 are needed"):
        subjects.token_rows(words, texts, 4, 2, 2)


config_of = configs_of(PROJECT, default="experiment=analysis_encoder")


def experiment_of(table: str, model: str) -> str:
    return f"{'ablation' if table == 'lsh_ablation' else 'analysis'}_{model}"


@functools.cache
def table_of(name: str) -> Table:
    """A table of many rows takes seconds to compose."""
    return load_table("smyrf", name, "laptop", ROOT, check=True)


@pytest.mark.parametrize("table", TABLES)
def test_every_row_composes(table: str) -> None:
    composed = table_of(table)
    assert len({cell.id for cell in composed.cells}) == len(composed.cells)
    assert all(len(row) == 5 for row in composed.rows)
    for cell in composed.cells:
        assert cell.config["data"]["name"] in composed.spec.data_sets
        tokens, attention = cell.config["analysis"]["tokens"], cell.config["attention"]
        if table == "lsh_ablation":
            memory = attention["rounds"] * attention["cluster_size"] / tokens
            assert min(abs(memory - part) for part in (0.5, 0.25, 0.125)) < 0.005


@pytest.mark.parametrize(
    ("table", "model", "checkpoint", "data"),
    [
        ("lsh_ablation", "encoder", "roberta-base", "imdb"),
        ("singular_values", "encoder", "bert-base-uncased", "imdb"),
        ("sparsity", "encoder", "bert-base-uncased", "imdb"),
        ("cluster_membership", "vit", "facebook/dinov2-small", "cifar10"),
    ],
)
def test_the_paper_scale_takes_the_hubs_models_and_data(table: str, model: str, checkpoint: str, data: str) -> None:
    composed = compose(PROJECT, ROOT, [f"table={table}", "scale=paper", f"experiment={experiment_of(table, model)}"])
    assert composed.config["analysis"]["checkpoint"] == checkpoint
    assert composed.config["data"] == {"name": data, "source": "hub"}
    assert data in composed.spec.data_sets


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tiny models of the same classes and a few inputs, in place of the real ones."""
    random = np.random.default_rng(0)
    texts = SimpleNamespace(texts=["a bb ccc dddd " * 300] * 50)
    images = SimpleNamespace(images=random.integers(0, 255, (30, 20, 20, 3), dtype=np.uint8))
    kinds = {"imdb": texts, "photographs": images, "cifar10": images}
    tiny = {"minilm": tiny_bert, "bert-base-uncased": tiny_bert, "roberta-base": tiny_bert}
    monkeypatch.setattr(subjects, "pretrained", lambda checkpoint, root: tiny.get(checkpoint, tiny_vit)())
    monkeypatch.setattr(subjects, "tokenizer_of", lambda checkpoint, root: words)
    monkeypatch.setattr(subjects.data, "load", lambda name, root, source: {"test": kinds[name]})
    for cached in (subjects._subject, subjects._captured):
        cached.cache_clear()
    yield
    for cached in (subjects._subject, subjects._captured):
        cached.cache_clear()


SMALL = ("analysis.tokens=50", "analysis.layers=[1]")
CASES = [
    ("lsh_ablation", "encoder", ("attention.rounds=2", "attention.cluster_size=13")),
    ("lsh_ablation", "vit", ("attention.rounds=2", "attention.cluster_size=13", "attention.scheme=reformer")),
    ("singular_values", "encoder", ()),
    ("singular_values", "vit", ()),
    ("sparsity", "vit", ()),
    ("cluster_membership", "vit", ("attention.cluster_size=10",)),
]


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("table", "model", "more"), CASES)
def test_a_cell_of_every_table_runs_and_repeats_itself(
    table: str, model: str, more: tuple[str, ...], scale: str, tmp_path: Path
) -> None:
    """At `paper` scale too: its names of models and data stand for tiny ones of the same classes."""
    config = config_of(f"table={table}", f"scale={scale}", f"experiment={experiment_of(table, model)}", *SMALL, *more)
    measured = TABLES[table](config, tmp_path)
    assert set(measured.metrics) == set(table_of(table).spec.metrics)
    assert all(math.isfinite(value) for value in measured.metrics.values())
    assert TABLES[table](config, tmp_path) == measured
    if table == "lsh_ablation":  # 13 of 50 keys per cluster, in two rounds
        assert measured.metrics["score_memory"] == pytest.approx(52)
        chance = 100 * (1 - (37 / 50) ** 2)
        assert measured.metrics["times_chance"] == pytest.approx(measured.metrics["captured_mass"] / chance)


@pytest.mark.usefixtures("made_up")
@pytest.mark.parametrize("model", ["encoder", "vit"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_one_cluster_is_dense_attention(model: str, scheme: str, tmp_path: Path) -> None:
    clusters = ("attention.rounds=2", "attention.cluster_size=50", f"attention.scheme={scheme}")
    metrics = hash_ablation.measure(
        config_of("table=lsh_ablation", f"experiment=ablation_{model}", *SMALL, *clusters), tmp_path
    ).metrics
    assert metrics["score_memory"] == 200
    assert metrics["captured_mass"] == pytest.approx(100, abs=1e-3)
    assert metrics["times_chance"] == pytest.approx(1, abs=1e-5)
    assert metrics["attention_error"] < 1e-5
    assert metrics["result_cosine"] == pytest.approx(1, abs=1e-5)


def result_of(table: str, measured: list[tuple[dict[str, Any], Any]]) -> Result:
    units = table_of(table).spec.metrics
    rows = [
        Row(key, {n: Metric.of([v], units[n]) for n, v in one.metrics.items()}, "ok", "", [0], [f"cell{i}"])
        for i, (key, one) in enumerate(measured)
    ]
    records = {f"cell{i}": {"exhibits": one.exhibits} for i, (_, one) in enumerate(measured)}
    return Result("smyrf", table, "quick", "", [], rows, records)


@pytest.mark.usefixtures("made_up")
def test_figures_are_drawn_from_the_cells_and_do_not_change(tmp_path: Path) -> None:
    results = []
    for table, run in TABLES.items():
        cells = []
        for row in table_of(table).rows:
            key = row[0].key
            if key["model"] == "gan":
                continue  # see test_attention_of_generators.py
            if key.get("scheme", "plain") == "plain" or table == "cluster_membership":
                size = f"attention.cluster_size={10 + len(cells)}"
                config = config_of(f"table={table}", f"experiment={experiment_of(table, key['model'])}", *SMALL, size)
                cells.append((key, run(config, tmp_path)))
        results.append(result_of(table, cells))
    for name, make in FIGURES.items():
        assert make(Results([])) is None, name
        first, second = (make(Results(results)) for _ in range(2))
        assert first is not None
        assert second is not None
        assert svg(first) == svg(second), name
    heads = results[-1].records["cell0"]["exhibits"]
    assert decode(heads["heads"][0]).shape == (7, 7, 3)
    assert decode(heads["matrix"]).shape == (50, 50)

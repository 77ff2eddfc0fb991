"""The data of the tables on texts, their published sizes and averages, batches, and scores."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from projects.smyrf.config import TextTask
from projects.smyrf.data import texts as text_data
from projects.smyrf.data.texts import Buckets, Encoded, encoded, labelled
from projects.smyrf.tasks.text import scores
from projects.smyrf.tasks.text.scores import score_memory
from regard_lab.data.sentences import Sentences
from regard_lab.data.texts import Texts
from regard_lab.experiment.table_file import read_table
from regard_lab.training import trainer
from tests.paths import ROOT
from tests.projects.smyrf.tiny_texts import tiny_tokenizer


@pytest.mark.parametrize(
    ("name", "parameters"),
    [  # embeddings, 12 layers of 7,087,872, pooler
        ("bert", (30_522 + 512 + 2) * 768 + 2 * 768 + 12 * 7_087_872 + 768**2 + 768),
        ("roberta", (50_265 + 514 + 1) * 768 + 2 * 768 + 12 * 7_087_872 + 768**2 + 768),
    ],
)
def test_the_published_models_have_their_parameters(name, parameters):
    from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

    with torch.device("meta"):
        roberta = RobertaConfig(vocab_size=50_265, max_position_embeddings=514, type_vocab_size=1)
        model = BertModel(BertConfig()) if name == "bert" else RobertaModel(roberta)
    assert sum(weight.numel() for weight in model.parameters()) == parameters
    assert parameters == {"bert": 109_482_240, "roberta": 124_645_632}[name]


def test_score_memory_is_rounds_times_keys_per_cluster_over_keys():
    assert score_memory("softmax", [128], rounds=9, cluster_size=9) == 100
    assert score_memory("smyrf", [128], rounds=2, cluster_size=32) == 50
    assert score_memory("smyrf", [512], rounds=8, cluster_size=32) == 50
    # 8 tokens are one cluster, twice: 2 · 64; 64 tokens: 2 · 64 · 32
    assert score_memory("smyrf", [8, 64], rounds=2, cluster_size=32) == pytest.approx(100 * (128 + 4096) / (64 + 4096))


def test_the_published_averages_are_the_means_of_nine_columns():
    columns = ("cola", "mnli_m", "mnli_mm", "mrpc", "qnli", "qqp", "rte", "sst2", "stsb")
    for row in read_table(ROOT / "projects" / "smyrf", "glue").published:
        assert round(np.mean([row.values[column] for column in columns]), 2) == row.values["average"]


# -- batches and tasks


def test_buckets_hold_every_text_once_and_sort_within_a_stretch():
    lengths = torch.randint(1, 200, (101,), generator=torch.Generator().manual_seed(0)).tolist()
    buckets = Buckets(lengths, 4, seed=1)
    first = list(buckets)
    assert sorted(row for rows in first for row in rows) == list(range(101))
    assert len(first) == len(buckets) == 26
    assert first == list(buckets)
    spread = sum(max(lengths[row] for row in rows) - min(lengths[row] for row in rows) for rows in first) / len(first)
    assert spread < 30  # of 200; of unsorted batches about 120
    buckets.set_epoch(1)
    assert list(buckets) != first
    assert [lengths[row] for rows in Buckets(lengths, 4) for row in rows] == sorted(lengths)


@pytest.mark.parametrize("seed", [1, None])
def test_buckets_are_shared_out_among_devices(seed, monkeypatch):
    lengths = list(range(1, 102))
    whole = list(Buckets(lengths, 4, seed))
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(trainer, "_rank_and_world", lambda rank=rank: (rank, 2))
        parts.append(list(Buckets(lengths, 4, seed)))
        assert len(parts[-1]) == len(Buckets(lengths, 4, seed))
    assert parts == [whole[0:26:2], whole[1:26:2]]


def test_a_batch_is_padded_to_its_longest_text():
    split = Encoded([[5], [6, 7, 8], [9]], [[0], [0, 1, 1], [0]], [False] * 3, torch.tensor([0, 1, 0]), 1, [0, 1, 2])
    ids, kinds, labels = split[[0, 1]]
    assert ids.tolist() == [[5, 1, 1], [6, 7, 8]]
    assert kinds.tolist() == [[0, 0, 0], [0, 1, 1]]
    assert labels.tolist() == [0, 1]


def test_ratings_become_classes_without_the_neutral_ones():
    split = Sentences.of([("a", "", 0.5), ("b", "", -2.0), ("c", "", 0.6), ("d", "", 3.0)])
    task = TextTask("x", "train", {"x": "test"}, 2, "accuracy", 0.5)
    assert sorted(zip(*labelled(split, task, None)[:3], strict=True)) == [
        ("b", "", 0.0),
        ("c", "", 1.0),
        ("d", "", 1.0),
    ]
    assert sorted(labelled(split, replace(task, neutral=None), None)[2]) == [-2.0, 0.5, 0.6, 3.0]
    assert labelled(Texts.of([("a", 3)]), replace(task, neutral=None), None) == (["a"], [""], [3.0], [0])


def test_held_out_texts_are_of_all_classes_where_a_split_has_one_class_first():
    split = Texts.of([(str(number), int(number >= 500)) for number in range(1000)])
    task = TextTask("x", "train", {"x": "test"}, 2, "accuracy", None)
    texts, _, labels, numbers = labelled(split, task, 200)
    assert len(set(texts)) == 200
    assert 80 < sum(labels) < 120
    assert labelled(split, task, 200)[0] == texts
    assert labelled(split, task, 50)[0] == texts[:50]
    assert texts == [str(number) for number in numbers]
    assert labelled(split, task, 200, seed=1)[0] != texts


def test_texts_are_cut_and_pairs_are_joined(monkeypatch):
    split = Sentences.of([("good film", "bad", 2.5), ("a very good film", "the plot", 1.0)])
    monkeypatch.setattr(text_data, "loaded", lambda *_: {"train": split})
    task = TextTask("x", "train", {"x": "test"}, 1, "correlation", None)
    read = encoded(task, "train", "package", tiny_tokenizer(), 6, None)
    whole = read.cut.index(False)
    assert read.ids[whole] == [2, 5, 7, 3, 6, 3]
    assert read.kinds[whole] == [0, 0, 0, 0, 1, 1]
    assert read.lengths == [6, 6]
    assert sorted(read.cut) == [False, True]
    assert read.labels[whole] == 2.5
    assert read.labels.sum() == 3.5
    assert encoded(task, "train", "package", tiny_tokenizer(kinds=False), 6, 1).kinds == [[0] * 6]


def test_scores_by_hand():
    outputs = torch.tensor([[2.0, 1.0], [0.0, 1.0], [0.0, 3.0], [1.0, 0.0]])  # classes 0 1 1 0
    labels = torch.tensor([0, 1, 0, 0])  # one false positive
    assert scores.score("accuracy", outputs, labels) == 75
    assert scores.score("accuracy_f1", outputs, labels) == pytest.approx(100 * (3 / 4 + 2 / 3) / 2)
    assert scores.score("matthews", outputs, labels) == pytest.approx(100 * (1 * 2 - 0) / math.sqrt(2 * 1 * 3 * 2))
    assert scores.score("matthews", torch.eye(2)[[1, 1, 1, 1]], labels) == 0  # a constant answer, as in scikit-learn
    ratings = torch.tensor([1.0, 2.0, 9.0])
    ranks_agree = torch.tensor([[0.0], [1.0], [2.0]])
    pearson = float(np.corrcoef([0, 1, 2], [1, 2, 9])[0, 1])
    assert scores.score("correlation", ranks_agree, ratings) == pytest.approx(100 * (pearson + 1) / 2, abs=1e-3)
    assert scores.score("correlation", torch.zeros(3, 1), ratings) == 0
    assert float(scores.loss(torch.zeros(1, 2), torch.tensor([0]))) == pytest.approx(math.log(2))
    assert float(scores.loss(torch.zeros(2, 1), torch.tensor([1.0, 3.0]))) == 5

"""What the tables on texts are made of: their configs, published sizes and averages, batches, tasks and scores."""

import copy
import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from projects.smyrf.config import Config
from projects.smyrf.text import data as text_data
from projects.smyrf.text import scores
from projects.smyrf.text.attention import score_memory
from projects.smyrf.text.config import Task, check
from projects.smyrf.text.data import Buckets, Encoded, encoded, labelled
from regard_lab.data.sentences import Sentences
from regard_lab.data.texts import Texts
from regard_lab.experiment.config import typed
from regard_lab.experiment.table_file import read_table
from regard_lab.experiment.tables import load_table
from tests.projects.smyrf.tiny_texts import ROOT, config_of, tiny_tokenizer

TABLES = ("glue", "imdb", "mask_bug")


@pytest.mark.parametrize("scale", ["quick", "laptop", "paper"])
@pytest.mark.parametrize("table", TABLES)
def test_every_config_composes_and_passes_its_check(table, scale):
    composed = load_table("smyrf", table, scale, ROOT, check=True)
    assert len({cell.id for cell in composed.cells}) == len(composed.cells)
    text = typed(Config, composed.cells[0].config).text
    columns = {column for task in text.tasks.values() for column in task.held_out}
    assert columns <= set(composed.spec.metrics)
    assert {task.data for task in text.tasks.values()} == set(composed.spec.data_sets)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("text.finetuning.pool", "last", "text.finetuning.pool must be one of mean, first, got 'last'"),
        ("text.finetuning.redraw", "often", "redraw must be one of never, training, always"),
        ("text.finetuning.batch_size", 64, "batch_size = 64 and train_examples = 16"),
        ("text.finetuning.tokens", 0, "tokens must be at least 1, got 0"),
        ("text.finetuning.learning_rate", 0, "learning_rate must be positive"),
        ("text.held_out_examples", 1, "held_out_examples must be at least 2, got 1"),
        ("text.tasks.news_topic.metric", "matthews", "matthews is of 2 classes, got 5"),
        ("text.tasks.news_topic.metric", "mean", "text.tasks.news_topic.metric must be one of"),
        ("text.tasks.news_topic.classes", 1, r"ratings \(classes 1\) go with correlation"),
        ("text.tasks.news_topic.neutral", 0.5, "neutral ratings are left out for 2 classes, got 5"),
        ("text.training_mask", "right", "set both or none"),
        ("attention.scheme", "plain", "attention.scheme=plain"),
    ],
)
def test_a_config_that_cannot_run_is_refused(key, value, message):
    config = copy.deepcopy(config_of("table=glue"))
    check(config.text, config)
    *path, last = key.split(".")
    setattr(
        functools.reduce(lambda at, name: at[name] if isinstance(at, dict) else getattr(at, name), path, config),
        last,
        value,
    )
    with pytest.raises(ValueError, match=message):
        check(config.text, config)


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


def test_score_memory_is_rounds_times_keys_a_cluster_over_keys():
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


def test_a_batch_is_padded_to_its_longest_text():
    split = Encoded([[5], [6, 7, 8], [9]], [[0], [0, 1, 1], [0]], [False] * 3, torch.tensor([0, 1, 0]), padding=1)
    ids, kinds, labels = split[[0, 1]]
    assert ids.tolist() == [[5, 1, 1], [6, 7, 8]]
    assert kinds.tolist() == [[0, 0, 0], [0, 1, 1]]
    assert labels.tolist() == [0, 1]


def test_ratings_become_classes_without_the_neutral_ones():
    split = Sentences.of([("a", "", 0.5), ("b", "", -2.0), ("c", "", 0.6), ("d", "", 3.0)])
    task = Task("x", "train", {"x": "test"}, 2, "accuracy", 0.5)
    assert sorted(zip(*labelled(split, task, None), strict=True)) == [("b", "", 0.0), ("c", "", 1.0), ("d", "", 1.0)]
    assert sorted(labelled(split, replace(task, neutral=None), None)[2]) == [-2.0, 0.5, 0.6, 3.0]
    assert labelled(Texts.of([("a", 3)]), replace(task, neutral=None), None) == (["a"], [""], [3.0])


def test_held_out_texts_are_of_all_classes_where_a_split_has_one_class_first():
    split = Texts.of([(str(number), int(number >= 500)) for number in range(1000)])
    task = Task("x", "train", {"x": "test"}, 2, "accuracy", None)
    texts, _, labels = labelled(split, task, 200)
    assert len(set(texts)) == 200
    assert 80 < sum(labels) < 120
    assert labelled(split, task, 200)[0] == texts
    assert labelled(split, task, 50)[0] == texts[:50]


def test_texts_are_cut_and_pairs_are_joined(monkeypatch):
    split = Sentences.of([("good film", "bad", 2.5), ("a very good film", "the plot", 1.0)])
    monkeypatch.setattr(text_data, "loaded", lambda *_: {"train": split})
    task = Task("x", "train", {"x": "test"}, 1, "correlation", None)
    found = encoded(task, "train", "package", tiny_tokenizer(), 6, None)
    whole = found.cut.index(False)
    assert found.ids[whole] == [2, 5, 7, 3, 6, 3]
    assert found.kinds[whole] == [0, 0, 0, 0, 1, 1]
    assert found.lengths == [6, 6]
    assert sorted(found.cut) == [False, True]
    assert found.labels[whole] == 2.5
    assert found.labels.sum() == 3.5
    assert encoded(task, "train", "package", tiny_tokenizer(kinds=False), 6, 1).kinds == [[0] * 6]


def test_scores_by_hand():
    outputs = torch.tensor([[2.0, 1.0], [0.0, 1.0], [0.0, 3.0], [1.0, 0.0]])  # classes 0 1 1 0
    labels = torch.tensor([0, 1, 0, 0])  # one false positive
    assert scores.score("accuracy", outputs, labels) == 75
    assert scores.score("accuracy_f1", outputs, labels) == pytest.approx(100 * (3 / 4 + 2 / 3) / 2)
    assert scores.score("matthews", outputs, labels) == pytest.approx(100 * (1 * 2 - 0) / math.sqrt(2 * 1 * 3 * 2))
    ratings = torch.tensor([1.0, 2.0, 9.0])
    ranks_agree = torch.tensor([[0.0], [1.0], [2.0]])
    pearson = float(np.corrcoef([0, 1, 2], [1, 2, 9])[0, 1])
    assert scores.score("correlation", ranks_agree, ratings) == pytest.approx(100 * (pearson + 1) / 2, abs=1e-3)
    assert scores.score("correlation", torch.zeros(3, 1), ratings) == 0
    assert float(scores.loss(torch.zeros(1, 2), torch.tensor([0]))) == pytest.approx(math.log(2))
    assert float(scores.loss(torch.zeros(2, 1), torch.tensor([1.0, 3.0]))) == 5

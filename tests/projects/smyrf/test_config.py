"""The configs of every table compose and can run; those that cannot are refused, with the numbers, before any work."""

import subprocess
import sys
from typing import get_args

import pytest

from projects.smyrf.checks import check
from projects.smyrf.config import PROJECT, Config, Scheme, modules
from regard.mechanisms.smyrf.hashing import SCHEMES
from regard_lab.common.errors import UserError
from regard_lab.experiment.config import typed
from regard_lab.experiment.tables import load_table
from tests.configs import configs_of
from tests.paths import ROOT

config_of = configs_of(PROJECT, default="table=glue")


@pytest.mark.parametrize("scale", ["quick", "laptop", "paper"])
@pytest.mark.parametrize("table", PROJECT.tables(ROOT))
def test_every_row_composes_and_passes_its_check(table: str, scale: str) -> None:
    composed = load_table("smyrf", table, scale, ROOT, check=True)
    assert len({cell.id for cell in composed.cells}) == len(composed.cells)
    text = typed(Config, composed.cells[0].config).text
    if text is not None:
        assert {task.data for task in text.tasks.values()} == set(composed.spec.data_sets)
        assert {name for task in text.tasks.values() for name in task.held_out} <= set(composed.spec.metrics)
    least = {"lsh_ablation": 5, "singular_values": 5, "sparsity": 5, "cluster_membership": 5}.get(table, 3)
    assert all(len(row) >= (1 if scale == "quick" else least) for row in composed.rows)


NOT_IN_THE_SCHEMA = [
    ("attention.name=local", "attention.name must be 'softmax' or 'smyrf', got 'local'"),
    ("attention.rounds=0", "attention.rounds must be greater than 0, got 0"),
    ("attention.scheme=none", "attention.scheme must be 'asymmetric', 'plain', 'reformer' or 'random', got 'none'"),
    ("text.encoder.pool=last", "text.encoder.pool must be 'mean' or 'first', got 'last'"),
    ("text.encoder.redraw=often", "text.encoder.redraw must be 'never', 'training' or 'always', got 'often'"),
    ("text.encoder.tokens=0", "text.encoder.tokens must be greater than 0, got 0"),
    ("text.encoder.dropout=1.0", "text.encoder.dropout must be less than 1, got 1.0"),
    ("text.training.learning_rate=0", "text.training.learning_rate must be greater than 0, got 0"),
    ("text.training.strategy=fast", "text.training.strategy must be 'auto', 'ddp'"),
    ("text.held_out_examples=1", "text.held_out_examples must be greater than or equal to 2, got 1"),
    (
        "table=long_texts text.tasks.news_topic.metric=mean",
        "text.tasks.news_topic.metric must be 'accuracy', 'accuracy_f1'",
    ),
    ("text.finetuning.tokens=3", "finetuning"),
    ("table=biggan_swap gan.trained.name=local", "gan.trained.name must be 'softmax' or 'smyrf', got 'local'"),
    ("table=biggan_swap gan.evaluation.judge=me", "gan.evaluation.judge must be 'classifier' or 'inception', got 'me'"),
    ("table=biggan_swap gan.training.precision=half", "gan.training.precision must be '32-true', '16-mixed'"),
    ("table=lsh_ablation analysis.model=cnn", "analysis.model must be 'encoder', 'vit' or 'gan', got 'cnn'"),
    ("table=lsh_ablation analysis.examples=0", "analysis.examples must be greater than 0, got 0"),
    ("table=lsh_ablation analysis.layers=[-1]", "analysis.layers.0 must be greater than or equal to 0, got -1"),
    ("table=lsh_ablation analysis.layers=[]", "analysis.layers"),
    ("table=pretrained_swap pretrained.reads=sound", "pretrained.reads must be 'texts' or 'pictures', got 'sound'"),
    ("table=speed speed.part=model", "speed.part must be 'bert', 'layer' or 'encoder', got 'model'"),
    ("table=speed speed.kernel=plain", "speed.kernel must be 'fused' or 'unfused', got 'plain'"),
    ("table=speed speed.rounds=0", "speed.rounds must be greater than 0, got 0"),
]


@pytest.mark.parametrize(("words", "message"), NOT_IN_THE_SCHEMA)
def test_a_value_that_the_schema_does_not_take_is_refused(words: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        config_of(*words.split())
    assert message in str(refused.value)


MASKS = "text.training_mask and text.inference_mask go together: set both or neither, got right and None"
DO_NOT_FIT = [
    ("text.training.batch_size=64", "got text.training.batch_size=64 and text.train_examples=16"),
    (
        "table=long_texts text.tasks.news_topic.metric=matthews",
        "text.tasks.news_topic: matthews needs 2 classes, got 5",
    ),
    ("table=long_texts text.tasks.news_topic.classes=1", "ratings (classes 1) go with correlation, got 1 and accuracy"),
    ("table=long_texts text.tasks.news_topic.neutral=0.5", "left out for 2 classes, got 5 and neutral=0.5"),
    ("text.training_mask=right", MASKS),
    (
        "attention.scheme=plain attention.name=softmax",
        "attention.scheme=plain decides nothing; got attention.name=softmax",
    ),
    ("table=mask_bug attention.scheme=plain", "the orders of masks are for the paper's hash"),
    ("table=long_texts text.tasks.group_topic.pairs=same_class", "group_topic: pairs are of 2 classes, got 20"),
    ("attention.hash_rounds=4", "the tables of texts run the paper's own merge"),
    ("table=merges attention.hash_rounds=4 attention.rounds=8", "got hash_rounds=4, rounds=8 and dedup=False"),
    ("table=merges attention.hash_rounds=16 attention.dedup=true", "rounds=2 and dedup=True"),
    ("attention.dedup=true", "got attention.dedup=True"),
    ("table=biggan_swap gan.network.image_size=64", "3 blocks make pictures of 32 pixels, got image_size=64"),
    ("table=biggan_swap gan.network.attention_resolution=20", "must be one of [8, 16, 32], got 20"),
    ("table=biggan_swap gan.network.latent=30", "must divide into 4 slices, got 30"),
    ("table=biggan_swap gan.network.width=6", "a multiple of 8 channels, got 12 with gan.network.width=6"),
    ("table=biggan_swap gan.training.chunks=3", "3 chunks do not divide into 2 snapshots"),
    ("table=biggan_swap gan.training.devices=2", "gan.training.devices=2 needs strategy=ddp_find_unused"),
    ("table=biggan_swap attention.cluster_size=24", "a multiple of 4 that divides the 1,024 queries"),
    ("table=biggan_swap attention.cluster_size=2", "attention.cluster_size must be a multiple of 4"),
    ("table=biggan_swap gan.evaluation.shown=[1,10]", "there is no class 10 among 10"),
    ("table=biggan_swap gan.evaluation.images=150", "must fill two batches of 100, got 150"),
    ("table=lsh_ablation attention.cluster_size=600", "attention.cluster_size=600 and analysis.tokens=512"),
    ("table=cluster_membership analysis.tokens=1369", "got analysis.tokens=1369"),
    ("table=sparsity analysis.model=gan", "needs a section gan, and no other model takes one; got 'gan'"),
    (
        "table=sparsity experiment=analysis_gan analysis.model=encoder",
        "needs a section gan, and no other model takes one; got 'encoder'",
    ),
    (
        "table=sparsity experiment=analysis_gan analysis.tokens=1025",
        "a map of 32 × 32 positions, got analysis.tokens=1025",
    ),
    ("table=pretrained_swap pretrained.timed=3 pretrained.examples=2", "got 3 of 2 examples"),
    (
        "table=pretrained_swap pretrained.classes=10 pretrained.train_examples=9",
        "got 10 classes and 9 examples",
    ),
    (
        "table=drop_in scale=laptop experiment=drop_in_smollm2 replacement.method=hyper",
        "hyper sees the future; smollm2 is a causal language model",
    ),
    (
        "table=drop_in scale=laptop experiment=drop_in_vit replacement.method=softmax",
        "replacement.method=softmax and replacement.share=0.5",
    ),
    (
        "table=drop_in scale=laptop experiment=drop_in_vit replacement.share=1",
        "replacement.method=smyrf and replacement.share=1",
    ),
    (
        "table=drop_in scale=laptop experiment=drop_in_vit attention.name=smyrf",
        "attention.name must be softmax, got smyrf",
    ),
    (
        "table=pretrained_swap attention.name=smyrf attention.cluster_size=1369",
        "one cluster of 1369 holds all 1369 tokens",
    ),
    ("table=speed speed.width=100 speed.heads=3", "speed.width=100 and speed.heads=3"),
    ("table=speed attention.rounds=3", "3 × 32 is not in speed.grid"),
]


@pytest.mark.parametrize(("words", "message"), DO_NOT_FIT)
def test_keys_that_do_not_fit_each_other_are_refused_with_the_numbers(words: str, message: str) -> None:
    config = config_of(*words.split())
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the message is compared below)
        check(config)
    assert message in str(refused.value)


def test_several_devices_are_taken_with_the_strategy_that_a_gan_needs() -> None:
    check(config_of("table=biggan_swap", "gan.training.devices=2", *STRATEGY))


STRATEGY = ["gan.training.strategy=ddp_find_unused_parameters_true"]


def test_the_schemes_are_the_librarys() -> None:
    assert get_args(Scheme) == tuple(SCHEMES)


def test_a_cell_reaches_its_mechanism_and_its_packaged_model() -> None:
    assert modules(config_of("table=imdb")) == ["regard.mechanisms.smyrf", "regard_lab.models.minilm"]
    assert modules(config_of("table=imdb", "scale=paper")) == ["regard.mechanisms.smyrf"]
    assert modules(config_of("table=biggan_swap", "attention.name=softmax")) == ["regard.mechanisms.softmax"]


def test_configs_compose_without_torch() -> None:
    code = "import sys; import projects.smyrf.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0

"""Fine-tuning, and cells of the tables on texts: made-up texts, tiny encoders."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from projects.smyrf.analyses import floors
from projects.smyrf.config import PROJECT, Config
from projects.smyrf.data import texts as text_data
from projects.smyrf.tasks.text import finetuning, glue, imdb, mask_bug, scores
from projects.smyrf.tasks.text.finetuning import run_of
from regard_lab.data.sentences import Sentences
from regard_lab.data.texts import Texts
from regard_lab.experiment import artefacts, items
from regard_lab.experiment.composition import compose
from regard_lab.experiment.config import typed
from regard_lab.training.trainer import Task, seed_of
from tests.paths import ROOT
from tests.projects.smyrf.tiny_texts import config_of, tiny_encoder, tiny_tokenizer


@pytest.fixture
def made_up(monkeypatch, tmp_path):
    """Texts whose class can be read, of all lengths, and tiny encoders of the classes that the tables name."""
    random = np.random.default_rng(0)

    def sentence(label: int) -> str:
        filler = random.choice(["film", "the", "a", "plot"], random.integers(2, 30))
        return " ".join([*filler, *(["good"] if label else ["bad"]) * 3])

    def load(name, root, source):
        if name in ("imdb", "bbc_news", "newsgroups"):
            splits = ("train", "validation", "test")
            return {split: Texts.of((sentence(n % 2), n % 2) for n in range(48)) for split in splits}
        rows = [(sentence(n % 2), "a film" if n % 3 else "", float(n % 2)) for n in range(48)]
        names = [f"{kind}_{split}" for kind in ("movie", "nyt") for split in ("train", "test")]
        names += [
            name
            for task in config_of("table=glue", "scale=paper").text.tasks.values()
            for name in (task.train, *task.held_out.values())
        ]
        return dict.fromkeys(names, Sentences.of(rows))

    def pretrained(name, root):
        kind = "roberta" if "roberta" in name else "bert"
        return tiny_encoder(kind), tiny_tokenizer(kinds=kind == "bert")

    monkeypatch.setattr(text_data.data, "load", load)
    monkeypatch.setattr(finetuning, "pretrained", lambda name, root: pretrained(name, root)[0])
    monkeypatch.setattr(finetuning, "tokenizer_of", lambda name, root: pretrained(name, root)[1])
    monkeypatch.setattr(artefacts, "code_fingerprint", lambda *_: "code")
    text_data.loaded.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield
    text_data.loaded.cache_clear()


def tiny(config: Config, **changes) -> Config:
    """The same cell with few texts, one epoch and a learning rate that tiny models need."""
    text = config.text
    training = replace(text.training, epochs=1, batch_size=8, learning_rate=0.02)
    encoder = replace(text.encoder, **changes)
    tasks = {name: replace(task, least_words=0) for name, task in text.tasks.items()}
    sizes = {"train_examples": 32, "held_out_examples": 24, "validation_examples": 8}
    text = replace(text, encoder=encoder, training=training, tasks=tasks, **sizes)
    return replace(config, text=text)


def longer(run: finetuning.FinetuningRun, epochs: int) -> finetuning.FinetuningRun:
    return replace(run, training=replace(run.training, epochs=epochs))


def test_a_task_is_learnt_with_dropout(made_up, tmp_path, monkeypatch):
    modes = set()

    def watched(model, batch, loss=finetuning.batch_loss):
        modes.add(tuple(layer.training for layer in model.encoder.encoder.layer))
        return loss(model, batch)

    monkeypatch.setattr(finetuning, "batch_loss", watched)
    config = tiny(config_of("table=imdb"), trained_layers=None)
    run = longer(run_of(config, config.text.tasks["imdb"]), epochs=8)
    model, tokenizer, epochs = finetuning.finetune(run, tmp_path)
    split = finetuning.split_of(run, "test", tokenizer, None)
    outputs, labels = finetuning.predict(model, split, 8, 0)
    assert scores.score("accuracy", outputs, labels) > 90
    assert torch.equal(labels, split.labels)  # in the split's order, though batches are sorted by length
    assert epochs["train_loss"][-1] < epochs["train_loss"][0] / 2
    assert len(epochs["validation_loss"]) == 8
    assert modes == {(True, True), (False, False)}  # of training, and of validation


def test_the_weights_are_those_of_adamw_with_a_falling_rate_and_clipped_gradients(made_up, tmp_path):
    """Against plain lines, seeded as the trainer seeds its steps: two epochs of four batches of 8."""
    config = tiny(config_of("table=imdb", "attention.name=softmax"), trained_layers=None)
    run = longer(run_of(config, config.text.tasks["imdb"]), epochs=2)
    trained = finetuning.finetune(run, tmp_path)[0].trained()
    model, tokenizer = finetuning.untrained(run)
    model.train()
    split = finetuning.split_of(run, "train", tokenizer, run.train_examples)
    batches = text_data.loader(split, 8, seed=run.seed)
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.02, eps=1e-8, weight_decay=0.0)
    for step in range(8):
        batches.sampler.set_epoch(step // 4)
        for group in optimiser.param_groups:
            group["lr"] = 0.02 * (1 - step / 8)
        ids, kinds, labels = list(batches)[step % 4]
        torch.manual_seed(seed_of(run.seed, step, 1))
        optimiser.zero_grad()
        scores.loss(model(ids, kinds), labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    for name, weight in model.trained().items():
        torch.testing.assert_close(trained[name], weight, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
@pytest.mark.parametrize("attention", ["softmax", "smyrf"])
def test_the_precision_is_that_of_the_recipe(made_up, tmp_path, attention, precision):
    config = tiny(config_of("table=imdb", f"attention.name={attention}", "attention.cluster_size=4"))
    run = run_of(config, config.text.tasks["imdb"])
    run = replace(run, training=replace(run.training, precision=precision))
    model, tokenizer, epochs = finetuning.finetune(run, tmp_path)
    assert np.isfinite(epochs["train_loss"]).all()
    assert model.head.weight.dtype == (torch.bfloat16 if precision == "bf16-true" else torch.float32)
    outputs, labels = finetuning.predict(model, finetuning.split_of(run, "test", tokenizer, 8), 8, 0)
    assert outputs.dtype == torch.float32
    assert np.isfinite(scores.score("correlation", outputs[:, :1], labels.float()))


@pytest.mark.parametrize("attention", ["softmax", "smyrf"])
def test_a_resumed_run_is_the_run(made_up, tmp_path, monkeypatch, attention):
    config = tiny(config_of("table=imdb", f"attention.name={attention}", "attention.cluster_size=4"), trained_layers=1)
    run = longer(run_of(config, config.text.tasks["imdb"]), epochs=2)
    straight = finetuning.finetune(run, tmp_path / "straight")[0].trained()

    def stop(self, batch, batch_idx):
        if self.trainer.current_epoch == 1 and batch_idx == 2:
            raise RuntimeError("stopped")
        return Task.training_step(self, batch, batch_idx)

    with monkeypatch.context() as patched:
        patched.setattr(finetuning.FinetuningTask, "training_step", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            finetuning.finetune(run, tmp_path / "stopped")
    resumed = finetuning.finetune(run, tmp_path / "stopped")[0].trained()
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)


@pytest.mark.parametrize(
    "row",
    [
        ["attention.name=smyrf", "attention.rounds=2", "attention.cluster_size=16"],
        ["attention.name=softmax", "text.encoder.tokens=32"],
    ],
)
@pytest.mark.parametrize(("table", "scale"), [("glue", "laptop"), ("glue", "paper"), ("long_texts", "laptop")])
def test_a_glue_cell(made_up, tmp_path, table, scale, row):
    composed = compose(PROJECT, ROOT, [f"table={table}", f"scale={scale}", *row])
    config = tiny(typed(Config, composed.config))
    measured = glue.train(config, tmp_path / "cell")
    assert set(measured.metrics) == set(composed.spec.metrics)
    columns = [column for task in config.text.tasks.values() for column in task.held_out]
    assert measured.metrics["average"] == pytest.approx(np.mean([measured.metrics[column] for column in columns]))
    assert set(measured.exhibits["tasks"]) == set(config.text.tasks)
    if config.attention.name == "smyrf":
        assert measured.metrics["score_memory"] == 25
        assert 0 < measured.metrics["clustered_texts"] < 100
        assert measured.metrics["dense_texts"] == pytest.approx(100 - measured.metrics["clustered_texts"])
    assert len(measured.curves.get("validation_loss", [0])) == 1
    if table == "long_texts":
        found = items.outcomes_of(measured)["average"]  # which compares their mean with the metric
        assert len(found.values) == sum(min(24, len(column)) for column in found_columns(config))
    assert not list((tmp_path / "cell").rglob("*.ckpt"))
    assert glue.train(config, tmp_path / "cell").metrics == measured.metrics  # from what the folder holds


def found_columns(config):
    """The held-out texts of each column, before any are left out."""
    return [
        text_data.labelled(text_data.loaded(task.data, "package", None)[split], task, None)[0]
        for task in config.text.tasks.values()
        for split in task.held_out.values()
    ]


def test_a_column_counts_as_much_as_another_in_the_items_of_the_average():
    """Two columns, one right of two and three right of three: (50 + 100) / 2."""
    found = glue.items_of([[(4, True), (7, False)], [(0, True), (1, True), (2, True)]])
    assert np.mean(found["items"]["average"]) == pytest.approx(75)
    assert found["numbers"] == [4, 7, 1_000_000, 1_000_001, 1_000_002]
    assert glue.items_of([[(0, True)], None]) == {}


def test_subsets_are_drawn_by_seed(made_up):
    config = tiny(config_of("table=long_texts"))
    task = config.text.tasks["review_sentiment"]
    runs = [run_of(replace(config, seed=seed), task) for seed in (0, 0, 1)]
    tokenizer = tiny_tokenizer()
    numbers = [finetuning.split_of(run, "train", tokenizer, 24).numbers for run in runs]
    assert numbers[0] == numbers[1] != numbers[2]
    assert len(set(numbers[2])) == 24


def test_short_texts_are_left_out(made_up):
    config = config_of("table=long_texts")
    task = replace(config.text.tasks["review_sentiment"], least_words=20)
    split = text_data.loaded("imdb", "package", None)["train"]
    texts = text_data.labelled(split, task, None)[0]
    assert 0 < len(texts) < len(split)
    assert min(len(text.split()) for text in texts) >= 20


def test_floors_of_the_texts(made_up, monkeypatch):
    """The class can be read off words: counts of them find it, the majority does not."""
    monkeypatch.setattr(floors, "tokenizer_of", lambda name, root: tiny_tokenizer())
    config = tiny(config_of("table=imdb", "scale=laptop"))
    config = replace(config, text=replace(config.text, train_examples=None))
    assert floors.bag_of_words(config, None).metrics["test_accuracy"] > 90
    assert floors.majority(config, None).metrics["test_accuracy"] < 70
    rated = tiny(config_of("table=glue", "scale=laptop"))
    assert floors.majority(rated, None).metrics["stsb"] == 0  # a constant rating has no correlation
    assert set(floors.bag_of_words(rated, None).metrics) == {"cola", "mrpc", "rte", "sst2", "stsb", "average"}


def test_each_hash_is_trained(made_up, tmp_path, monkeypatch):
    """Another hash is another training; for a model trained dense it is not."""
    runs = {
        (name, scheme): run_of(
            tiny(
                config_of("table=imdb", f"attention.name={name}", f"attention.scheme={scheme}", "text.inference=smyrf")
            ),
            config_of("table=imdb").text.tasks["imdb"],
        )
        for name in ("smyrf", "softmax")
        for scheme in ("asymmetric", "random")
    }
    assert runs["softmax", "asymmetric"] == runs["softmax", "random"]
    put = []
    monkeypatch.setattr(finetuning, "put", lambda encoder, name, **options: put.append((name, options["scheme"])))
    for run in runs.values():
        run.put(finetuning.untrained(run)[0])
    assert {("smyrf", "asymmetric"), ("smyrf", "random"), ("softmax", "asymmetric")} == set(put)


@pytest.mark.parametrize("model", ["minilm", "bert-base-uncased", "roberta-base"])
def test_inference_modes_share_weights(made_up, tmp_path, monkeypatch, model):
    scale = "laptop" if model == "minilm" else "paper"
    runs = []
    monkeypatch.setattr(finetuning, "finetune", lambda *a, real=finetuning.finetune: runs.append(a) or real(*a))
    found = {}
    for trained, inferred in [("smyrf", "smyrf"), ("smyrf", "softmax"), ("softmax", "smyrf"), ("softmax", "softmax")]:
        row = [
            f"attention.name={trained}",
            f"text.inference={inferred}",
            "attention.rounds=2",
            "attention.cluster_size=4",
        ]
        composed = compose(PROJECT, ROOT, ["table=imdb", f"scale={scale}", f"text.encoder.checkpoint={model}", *row])
        config = tiny(typed(Config, composed.config))
        found[trained, inferred] = imdb.train(config, tmp_path).metrics
        assert set(found[trained, inferred]) == set(composed.spec.metrics)
    assert len(runs) == 2
    assert found["smyrf", "smyrf"]["test_loss"] != found["smyrf", "softmax"]["test_loss"]
    assert found["softmax", "smyrf"]["training_memory"] == 100
    assert found["softmax", "smyrf"]["inference_memory"] == pytest.approx(100 * 2 * 4 / 512)


@pytest.mark.parametrize("scale", ["laptop", "paper"])
def test_the_mask_table(made_up, tmp_path, scale):
    found = {}
    for training, inference in [("right", "right"), ("released", "released"), ("released", "right")]:
        row = [f"text.training_mask={training}", f"text.inference_mask={inference}", "attention.cluster_size=4"]
        composed = compose(PROJECT, ROOT, ["table=mask_bug", f"scale={scale}", *row])
        metrics = mask_bug.train(tiny(typed(Config, composed.config)), tmp_path).metrics
        assert set(metrics) == set(composed.spec.metrics)
        found[training, inference] = metrics
    assert found["right", "right"]["wrong_rows"] == 0
    assert 60 < found["released", "released"]["wrong_rows"] <= 87.5  # batches of 8: 7 in 8, fewer where lengths agree
    assert len({metrics["test_loss"] for metrics in found.values()}) == 3

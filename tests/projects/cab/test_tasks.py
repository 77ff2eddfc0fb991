"""The tasks on small made-up data of the right shapes: losses by hand, and cells from data to metrics."""

import math

import pytest
import torch

from projects.cab.config import PROJECT
from projects.cab.tasks import (
    completion,
    forecasting,
    language_modelling,
    masked_language_modelling,
    speech,
    summarisation,
    super_resolution,
    translation,
)
from projects.cab.tasks.by_pattern import TASKS, task_metrics
from regard_lab.experiment.composition import compose
from tests.paths import ROOT
from tests.projects.cab.cab_data import config_of

TRAIN = {
    "lstf_self": forecasting.train,
    "lstf_cross": forecasting.train,
    "lm": language_modelling.train,
    "mlm": masked_language_modelling.train,
    "sr": super_resolution.train,
    "tts_self": speech.train,
    "tts_cross": speech.train,
    "summary_cross": summarisation.train,
    "pcc_cross": completion.train,
    "translation": translation.train,
}


def test_the_loss_of_a_language_model_is_of_the_next_subword():
    window = torch.tensor([[1, 2, 0, 2]], dtype=torch.int16)
    logits = 100 * torch.nn.functional.one_hot(torch.tensor([[2, 0, 2]]), 3).float()  # sure, and right
    assert float(language_modelling.score(lambda subwords: logits, (window,))["loss"]) == pytest.approx(0, abs=1e-6)


def test_the_loss_of_a_translation_leaves_padding_out():
    logits = torch.zeros(1, 3, 5)
    logits[0, 0, 4] = 100.0  # sure of the first word, knows nothing of the second
    scores = translation.score(lambda source, target: logits, (torch.tensor([[4]]), torch.tensor([[2, 4, 3, 0]])))
    assert float(scores["nats"]) == pytest.approx(math.log(5))
    assert float(scores["loss"]) == pytest.approx(math.log(5) / 2)
    assert (float(scores["words"]), float(scores["right"])) == (2, 1)


@pytest.mark.parametrize(
    ("table", "attention"),
    [
        ("lstf_self", "lara"),
        ("lstf_cross", "smyrf"),
        ("lm", "abc"),
        ("mlm", "nystrom"),
        ("sr", "lara"),
        ("tts_self", "smyrf"),
        ("tts_cross", "performer"),
        ("summary_cross", "performer"),
        ("pcc_cross", "cosformer"),
        ("translation", "abc"),
    ],
)
def test_a_cell_from_data_to_metrics(made_up, tmp_path, table, attention):
    spec = table_metrics(table)
    config = config_of(f"table={table}", f"attention.name={attention}", *made_up)
    measured = TRAIN[table](config, tmp_path)
    assert set(measured.metrics) == spec
    assert all(math.isfinite(value) for value in measured.metrics.values())
    again = TRAIN[table](config, tmp_path)
    assert again == measured  # out of the artefact, its seconds too
    assert measured.curves.keys() == curves_of(table)
    assert all(len(curve) == 1 for curve in measured.curves.values())  # of the one epoch


def curves_of(table: str) -> set[str]:
    return set(compose(PROJECT, ROOT, [f"table={table}", "scale=quick"]).spec.curves)


def table_metrics(table: str) -> set[str]:
    return set(compose(PROJECT, ROOT, [f"table={table}", "scale=quick"]).spec.metrics)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["lstf_self", "lm", "translation"])
def test_the_published_sizes_run_a_step(made_up, tmp_path, table):
    """`paper` scale with lengths, batches, layers and epochs cut: the widths and heads are the published ones."""
    cut = {
        "lstf_self": ["lstf.length=24", "lstf.label_length=12", "lstf.horizon=12", "lstf.sets=[appliances]"],
        "lm": ["lm.context=32", "lm.layers=2"],
        "translation": [
            "translation.length=8",
            "translation.vocabulary=40",
            "translation.encoder_layers=2",
            "translation.decoder_layers=2",
        ],
    }[table]
    section = table.partition("_")[0]
    names = ("training.epochs=1", "train_examples=4", "held_out_examples=4", "training.batch_size=2")
    few = [f"{section}.{name}" for name in names]
    config = config_of(f"table={table}", "scale=paper", *cut, *few)
    assert getattr(config, section).width in (512, 768)
    assert all(math.isfinite(value) for value in TRAIN[table](config, tmp_path).metrics.values())


def test_perplexity_at_every_context_is_over_the_same_text(monkeypatch):
    """Windows of each context hold as many subwords as those of the training context, but for what is left of one."""
    task = config_of("table=lm", "lm.context=64").lm
    task.held_out_examples = 3
    asked = {}

    def nats(trained, score, batches):
        asked[eighths] = sum(len(batch[0]) for batch in batches), batches.dataset[0][0].numel() - 1
        return {"nats": torch.zeros(1)}

    monkeypatch.setattr(language_modelling, "each_item", nats)
    for eighths in language_modelling.EIGHTHS.values():
        language_modelling.window_nats(None, task, torch.zeros(64 * 20 + 1), eighths, 3)
    assert asked[8] == (3, 64)
    assert asked[2] == (12, 16)
    assert asked[16] == (1, 128)
    assert asked[3] == (8, 24)


def test_a_pattern_has_the_papers_tasks_so_far_as_they_are_here():
    assert {pattern: [task.table for task in tasks] for pattern, tasks in TASKS.items()} == {
        "noncausal_self": ["tts_self", "summary_self", "sr", "mlm"],
        "causal_self": ["tts_causal", "summary_causal", "lm"],
        "noncausal_cross": ["pcc_cross", "lstf_cross"],
        "causal_cross": ["tts_cross", "summary_cross", "translation"],
    }
    for pattern, tasks in TASKS.items():
        for task in tasks:
            composed = compose(PROJECT, ROOT, [f"table={task.table}", "scale=quick"])
            assert composed.config["pattern"] == pattern
            assert set(task.metrics) <= set(composed.spec.metrics)
            assert composed.config[task.section] is not None


def test_a_task_without_its_section_is_refused():
    config = config_of("table=lm")
    with pytest.raises(ValueError, match="needs its task: choose table=translation"):
        task_metrics(config, TASKS["causal_cross"][2])

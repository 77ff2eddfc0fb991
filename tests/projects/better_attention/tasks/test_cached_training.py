"""Cells that several tables share are trained once."""

import pytest

from projects.better_attention.analyses.weight_merging import merging_error
from projects.better_attention.config import PROJECT
from projects.better_attention.tasks import cached_training
from regard_lab.common.files import read_json
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="experiment=imdb")


def test_a_cell_of_several_tables_is_trained_once(texts_of_many_lengths, tmp_path, monkeypatch):
    monkeypatch.setattr(cached_training, "artefact", _made_in(tmp_path, calls := []))
    cut = ("training.epochs=1", "budget.train_examples=16", "model.attention=super")
    heads = cached_training.ablate(config_of("table=ablation_heads", *cut), tmp_path / "a")
    length = cached_training.ablate(config_of("table=ablation_length", *cut), tmp_path / "b")
    control = cached_training.train(config_of("table=controls_text", *cut), tmp_path / "c")
    assert len(calls) == 3
    assert len(set(calls)) == 1
    assert heads == length
    assert heads.metrics == control.metrics | {
        "flop_ratio": pytest.approx(0.833, abs=1e-3),
        "folding_error": merging_error("super", width=32, heads=4, length=32, seed=0),
    }
    assert not list(tmp_path.rglob("*.ckpt"))


def _made_in(root, calls):
    """In place of `artefact`: one folder per config, and what was asked for."""

    def made(make, config, data_sets, *, source, root, modules):
        calls.append((make, repr(config), tuple(data_sets), source, tuple(modules)))
        folder = root / f"made{len(set(calls))}"
        if not folder.exists():
            folder.mkdir()
            make(config, folder)
            assert set(read_json(folder / cached_training.RESULT)) == {"metrics", "curves", "items"}
        return folder

    return made

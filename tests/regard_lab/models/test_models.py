"""Models out of packages: one sentence when one is missing or changed; the rebuilt ViT is the graph of its package."""

import json
from pathlib import Path
from types import ModuleType

import pytest

from regard_lab import models
from regard_lab.common.errors import DataMissing, UserError
from tests.paths import ROOT


def test_every_model_is_pinned_and_named() -> None:
    assert models.names() == ["minilm", "smollm2", "vit"]
    for name in models.names():
        module = models.module_of(name)
        assert len(module.PACKAGE.sha256) == 64
        assert module.FILES
        assert callable(module.model)
    with pytest.raises(
        UserError, match=r"unknown model 'minilmm'; there are minilm, smollm2, vit\. Did you mean 'minilm'\?"
    ):
        models.load("minilmm", ROOT)


def test_fetched_loaded_and_left_alone(tiny: ModuleType, tmp_path: Path) -> None:
    assert not models.fetched("tiny", tmp_path)
    folder = models.fetch("tiny", tmp_path)
    assert folder == tmp_path / "data" / "models" / "tiny"
    assert models.fetched("tiny", tmp_path)
    assert models.load("tiny", tmp_path) == 0.5
    before = (folder / "manifest.json").stat().st_mtime_ns
    models.fetch("tiny", tmp_path)
    assert (folder / "manifest.json").stat().st_mtime_ns == before
    assert sorted(path.name for path in folder.parent.iterdir()) == ["tiny"]
    with pytest.raises(UserError, match="the model tiny has no tokenizer"):
        models.load_tokenizer("tiny", tmp_path)


def test_a_missing_model_is_one_sentence(tiny: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match=r"the model tiny is missing: run `python -m regard_lab\.models tiny` in "):
        models.load("tiny", tmp_path)


def test_a_changed_model_is_told_and_read_anew(tiny: ModuleType, tmp_path: Path) -> None:
    folder = models.fetch("tiny", tmp_path)
    (folder / "weights.txt").write_text("0.6")
    with pytest.raises(
        UserError, match=r"weights\.txt has SHA-256 .*, expected .*; run `python -m regard_lab\.models tiny`"
    ):
        models.load("tiny", tmp_path)
    models.fetch("tiny", tmp_path)
    assert models.load("tiny", tmp_path) == 0.5
    (folder / "weights.txt").unlink()
    with pytest.raises(UserError, match=r"weights\.txt is gone"):
        models.load("tiny", tmp_path)
    models.fetch("tiny", tmp_path)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, "package": "0" * 64}))
    with pytest.raises(UserError, match="was read from another package than the pinned one"):
        models.load("tiny", tmp_path)

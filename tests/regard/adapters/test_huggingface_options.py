"""What is registered with Hugging Face, and the options of models and of single layers: defaults, saving, numbers of layers, seeds."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

import regard
from regard.adapters import huggingface
from regard.attention import Attention, Call
from regard.mechanisms.performer.projection import seeded_projection
from regard.mechanisms.smyrf import SmyrfAttention
from regard.mechanisms.smyrf.hashing import seeded_directions
from regard.observers import Observation
from regard.registry import mechanism_class
from tests.regard.adapters.small_transformers import ALL, IDS, N, bert, close, states
from tests.regard.vectors import draw

pytestmark = pytest.mark.usefixtures("registered")
transformers = pytest.importorskip("transformers")


def test_what_is_registered() -> None:
    """Those that offer themselves; each has the four projections and no parameters beyond them."""
    assert huggingface.register() == [f"regard-{name}" for name in ALL]
    assert {"softmax", "smyrf"} <= set(ALL)
    sizes = {"width": 8, "heads": 2, "length": 4}
    for name in ALL:
        cls = mechanism_class(name)
        assert cls.maps == ("query", "key", "value", "output")
        assert regard.cost.parameters(name, **{**sizes, **cls.example}) == regard.cost.parameters("softmax", **sizes)


@pytest.mark.usefixtures("own_registry")
def test_a_mechanism_that_offers_itself_is_registered() -> None:
    @regard.mechanism("mean", patterns=["noncausal_self"], paper="")
    class Mean(Attention):
        function_options: ClassVar[Mapping[str, Any]] = {"times": 1}

        @classmethod
        def attend(cls, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
            kept = torch.ones(v.shape[0], v.shape[2]) if call.key_mask is None else call.key_mask.float()
            kept = kept[:, None, :, None]
            return (call.options["times"] * (v * kept).sum(2, keepdim=True) / kept.sum(2, keepdim=True)).expand_as(q)

    assert "regard-mean" in huggingface.register()
    model = bert()
    model.set_attn_implementation("regard-mean")
    once = states(model)
    huggingface.configure(model, times=2)
    assert not torch.allclose(states(model), once)
    with pytest.raises(ValueError, match="'mean' has no option rounds; it has times"):
        huggingface.configure(model, rounds=1)


@pytest.mark.parametrize("name", ALL)
def test_defaults_are_those_of_the_layers(name: str) -> None:
    layer = regard.build(name, width=8, heads=2)
    known = {**vars(layer), **vars(layer).get("sizes", {})}
    if name == "smyrf":
        known["buckets"] = None  # a layer has a number; a model's lengths differ, and buckets follow them
    defaults = mechanism_class(name).function_options
    assert defaults is not None
    assert {option: known[option] for option in defaults} == defaults


def test_options_for_all_layers_and_for_single_ones(tmp_path: Path) -> None:
    model = bert()
    dense = states(model)
    model.set_attn_implementation("regard-softmax")
    huggingface.configure(model, mechanism="smyrf", layers=[1], rounds=1, cluster_size=3, seed=7)
    seen: list[Observation] = []
    with regard.observe(model, seen.append):
        found = states(model)
    assert [one.mechanism for one in seen] == ["softmax", "smyrf"]
    assert [one.name for one in seen] == [f"encoder.layer.{i}.attention.self" for i in (0, 1)]
    assert seen[1].clusters.queries.shape == (1, 2, 4, N)
    assert seen[1].clusters.queries.max() == 3
    assert not torch.allclose(found, dense)

    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["regard_attention"]["seed"] == 7
    loaded = transformers.BertModel.from_pretrained(tmp_path, attn_implementation="regard-softmax").eval()
    assert torch.equal(states(loaded), found)

    huggingface.configure(model, mechanism="smyrf", layers=[0, 1], cluster_size=N)
    close(states(model), dense)
    huggingface.configure(model, mechanism="smyrf", layers=[0, 1], rounds=1, cluster_size=3, seed=8)
    other = states(model)
    huggingface.configure(model, seed=7)
    assert not torch.allclose(states(model), other)


def test_options_of_one_mechanism_leave_anothers() -> None:
    model = bert()
    model.set_attn_implementation("regard-local")
    huggingface.configure(model, window=1)
    narrow = states(model)
    huggingface.configure(model, mechanism="smyrf", cluster_size=4)
    assert torch.equal(states(model), narrow)
    huggingface.configure(model)
    assert not torch.allclose(states(model), narrow)  # back to the default window


def dinov2() -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 28, "patch_size": 7}
    return transformers.Dinov2Model(transformers.Dinov2Config(**sizes)).eval()


def test_models_without_numbers_are_numbered(tmp_path: Path) -> None:
    model = dinov2()
    picture = draw(1, 3, 28, 28, seed=0, dtype=torch.float32)
    model.set_attn_implementation("regard-softmax")
    huggingface.configure(model, mechanism="smyrf", layers=[0, 2], cluster_size=5)
    seen: list[Observation] = []
    with regard.observe(model, seen.append), torch.no_grad():
        found = model(picture).last_hidden_state
    assert [one.mechanism for one in seen] == ["smyrf", "softmax", "smyrf"]
    model.save_pretrained(tmp_path)
    loaded = transformers.Dinov2Model.from_pretrained(tmp_path, attn_implementation="regard-softmax").eval()
    with pytest.raises(ValueError, match=re.escape("huggingface.number_layers(model) once after loading")):
        loaded(picture)
    huggingface.number_layers(loaded)
    with torch.no_grad():
        assert torch.equal(loaded(picture).last_hidden_state, found)


@pytest.mark.parametrize(
    ("implementation", "arguments", "error", "message"),
    [
        ("regard-smyrf", {"window": 3}, ValueError, "'smyrf' has no option window; it has rounds, cluster_size, key_cluster_size"),
        ("regard-softmax", {"window": 3}, ValueError, "'softmax' has no option window; it has none"),
        ("regard-smyrf", {"cluster_size": 0}, ValueError, "cluster_size must be at least 1, got 0"),
        ("regard-smyrf", {"rounds": 1.5}, TypeError, "rounds must be an integer"),
        ("regard-performer", {"features": 0}, ValueError, "features must be at least 1"),
        ("regard-probsparse", {"factor": 0}, ValueError, "factor must be at least 1"),
        ("regard-smyrf", {"layers": [1, 2, 5]}, ValueError, "there is no layer 2, 5; the model has 0 … 1"),
        ("sdpa", {"rounds": 1}, ValueError, "set one of .*smyrf.* first, or say mechanism="),
        ("sdpa", {"mechanism": "abc"}, ValueError, "no attention implementation 'regard-abc'"),
    ],
)  # fmt: skip
def test_options_that_cannot_be(
    implementation: str, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    model = bert()
    model.set_attn_implementation(implementation)
    with pytest.raises(error, match=message):
        huggingface.configure(model, **arguments)
    assert not hasattr(model.config, "regard_attention")


def test_draws_depend_on_seed_layer_and_width_alone() -> None:
    q = torch.zeros(1, 4, 3, 8)

    def drawn(q: Tensor, seed: int, **options: Any) -> Tensor:
        call = Call(options={**SmyrfAttention.function_options, **options}, seed=seed)
        directions: Tensor = SmyrfAttention.drawn_options(q, call)["directions"]
        return directions

    first = drawn(q, 1)
    assert first.shape == (10, 2)
    assert torch.equal(first, drawn(q[:, :1, :1], 1))
    assert not torch.equal(first, drawn(q, 2))
    shapes = {"plain": (8, 2), "random": (2,), "reformer": (8, 2 * 4 // 2)}  # of 3 clusters of one token: 4 buckets
    assert {scheme: tuple(drawn(q, 1, scheme=scheme, cluster_size=1).shape) for scheme in shapes} == shapes
    model = bert()
    model.set_attn_implementation("regard-smyrf")
    calls = [huggingface.settings(layer.attention.self)[1].seed for layer in model.encoder.layer]
    assert len(set(calls)) == 2
    seeded_directions.cache_clear()
    seeded_projection.cache_clear()
    with torch.inference_mode():
        model(IDS)  # what is drawn here must be fit for training
    model(IDS).last_hidden_state.sum().backward()
    assert not seeded_directions(0, 8, 2).is_inference()


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"needs transformers: pip install 'regard\[huggingface\]'"):
        huggingface.register()

"""Regard inside Hugging Face models: small models of the classes that matter, and pre-trained ones where they have been fetched."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

import regard
from regard.adapters import huggingface
from regard.attention import Call
from regard.observers import Observation
from regard.registry import UnsupportedPattern, mechanism_class
from regard_lab import models
from tests.paths import ROOT
from tests.regard.adapters.small_transformers import (
    ALL,
    ENCODING,
    IDS,
    LEFT,
    RIGHT,
    N,
    bert,
    close,
    gpt2,
    llama,
    states,
    states_of_dense,
)
from tests.regard.vectors import draw

pytestmark = pytest.mark.usefixtures("registered")

CAUSAL = [name for name in ALL if mechanism_class(name).stepwise]  # those that can continue from a cache
EXACT: dict[str, dict[str, Any]] = {  # for 12 tokens
    "hyper": {"block_size": 12},
    "kde": {"block_size": 12},
    "local": {"window": 12},
    "nystrom": {"landmarks": 12},
    "probsparse": {"factor": 12},
    "scatterbrain": {"window": 12},
    "smyrf": {"rounds": 3, "cluster_size": 12},
    "softmax": {},
}


def defaults(name: str) -> dict[str, Any]:
    return dict(mechanism_class(name).function_options or {})


def attend(name: str, q: Tensor, k: Tensor, v: Tensor, call: Call) -> Tensor:
    return mechanism_class(name).attend(q, k, v, call)


@pytest.mark.parametrize("name", sorted(EXACT))
@pytest.mark.parametrize("mask", [None, RIGHT, LEFT])
def test_the_exact_limit_is_the_model_itself(name: str, mask: Tensor | None) -> None:
    model = bert()
    expected = states(model, mask=mask)
    model.set_attn_implementation(f"regard-{name}")
    huggingface.configure(model, **EXACT[name])
    rows = torch.ones_like(RIGHT).bool() if mask is None else mask.bool()
    close(states(model, mask=mask)[rows], expected[rows])
    model.set_attn_implementation("sdpa")
    assert torch.equal(states(model, mask=mask), expected)


@pytest.mark.parametrize("name", ALL)
def test_a_padded_row_is_its_unpadded_run(name: str) -> None:
    model = bert()
    dense = states(model, mask=RIGHT)
    model.set_attn_implementation(f"regard-{name}")
    small: dict[str, dict[str, Any]] = {
        "smyrf": {"cluster_size": 3},
        "local": {"window": 2},
        "hyper": {"block_size": 3, "sample_size": 2},
        "kde": {"block_size": 3, "sample_size": 2},
        "probsparse": {"factor": 1},
        "scatterbrain": {"window": 2},
    }
    huggingface.configure(model, **small.get(name, {"landmarks": 3} if "landmarks" in defaults(name) else {}))
    found = states(model, mask=RIGHT)
    close(found[1, :7], states(model, IDS[1:, :7])[0])
    assert found.isfinite().all()
    assert torch.equal(found, states(model, mask=RIGHT))
    if name != "softmax":
        assert not torch.allclose(found[0], dense[0], atol=1e-5)


@pytest.mark.parametrize("make", [gpt2, llama])
@pytest.mark.parametrize("name", sorted(set(ALL) - set(ENCODING)))
def test_the_future_does_not_change_the_past(make: Any, name: str) -> None:
    model = make()
    dense = states(model)
    model.set_attn_implementation(f"regard-{name}")
    if name in ("local", "smyrf"):
        huggingface.configure(model, **{"local": {"window": 3}, "smyrf": {"cluster_size": 3}}[name])
    changed = IDS.clone()
    changed[:, 8:] = IDS[:, 8:] % 59 + 1
    assert torch.equal(states(model)[:, :8], states(model, changed)[:, :8])
    assert not torch.allclose(states(model)[:, 8:], states(model, changed)[:, 8:])
    early = IDS.clone()
    early[:, 6] = IDS[:, 6] % 59 + 1
    assert not torch.allclose(states(model)[:, 8], states(model, early)[:, 8])  # the past is seen
    if name == "softmax":
        close(states(model), dense)
        close(states(model, mask=LEFT)[LEFT.bool()], states_of_dense(model, LEFT)[LEFT.bool()])


@pytest.mark.parametrize("make", [gpt2, llama])
@pytest.mark.parametrize("name", CAUSAL)
def test_generation_with_a_cache_is_generation_without(make: Any, name: str) -> None:
    model = make()
    model.set_attn_implementation(f"regard-{name}")
    if name == "local":
        huggingface.configure(model, window=3)
    given = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    cached = model.generate(IDS, attention_mask=LEFT, **given)
    assert torch.equal(cached, model.generate(IDS, attention_mask=LEFT, use_cache=False, **given))
    assert torch.equal(cached[1, 5:], model.generate(IDS[1:, 5:], **given)[0])  # left padding changes nothing
    with torch.no_grad():  # several tokens at once on top of a cache
        first = model(IDS[:, :5], use_cache=True)
        rest = model(IDS[:, 5:], past_key_values=first.past_key_values).logits
    close(rest, states(model)[:, 5:])
    assert torch.equal(cached, model.generate(IDS, attention_mask=LEFT, cache_implementation="static", **given))


@pytest.mark.parametrize("name", ENCODING)
def test_an_encoders_mechanism_in_a_decoder_is_an_error(name: str) -> None:
    for model in (gpt2(), llama(), bert(is_decoder=True)):
        model.set_attn_implementation(f"regard-{name}")
        with pytest.raises(
            UnsupportedPattern, match=f"asks '{name}' for the pattern 'causal_self'; it has noncausal_self"
        ):
            states(model)


@pytest.mark.skipif("smyrf" in ENCODING, reason="smyrf has no causal_self")
def test_smyrf_in_a_decoder_cannot_go_on_from_a_cache() -> None:
    model = llama()
    model.set_attn_implementation("regard-smyrf")
    given = {"max_new_tokens": 3, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    with pytest.raises(ValueError, match=r"'smyrf' cannot continue from a cache \(1 new of 13 tokens\)"):
        model.generate(IDS, attention_mask=LEFT, **given)
    assert model.generate(IDS, attention_mask=LEFT, use_cache=False, **given).shape == (2, N + 3)


def test_a_scale_of_the_models_own() -> None:
    for options in ({"scale_attn_weights": False}, {"scale_attn_by_inverse_layer_idx": True}):
        model = gpt2(**options)
        expected = states(model)
        model.set_attn_implementation("regard-softmax")
        close(states(model), expected)
    q, k, v = (draw(1, 1, 7, 4, seed=seed) for seed in range(3))
    for name, options in EXACT.items():
        found = attend(name, q, k, v, Call(options={**defaults(name), **options}, scale=0.9))
        close(found, attend("softmax", q, k, v, Call(scale=0.9)))
    for name in ("lara", "performer"):
        found = attend(name, q, k, v, Call(options=defaults(name), scale=0.9))
        close(found, attend(name, q * 0.9 * 4**0.5, k, v, Call(options=defaults(name))))


def test_training_has_gradients_and_dropout_is_softmaxs_alone() -> None:
    model = bert(attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.0)
    model.set_attn_implementation("regard-smyrf")
    expected = states(model, mask=RIGHT)
    model.train()
    with pytest.raises(
        ValueError, match=r"asks 'smyrf' for an attention dropout of 0.5, which only softmax attention has"
    ):
        model(IDS, attention_mask=RIGHT)
    model.set_attn_implementation("regard-softmax")
    torch.manual_seed(0)
    dropped = model(IDS, attention_mask=RIGHT).last_hidden_state
    model.set_attn_implementation("eager")
    torch.manual_seed(0)
    close(dropped, model(IDS, attention_mask=RIGHT).last_hidden_state)
    model.set_attn_implementation("regard-smyrf")
    for layer in model.encoder.layer:
        layer.attention.self.dropout.p = 0.0
    out = model(IDS, attention_mask=RIGHT).last_hidden_state
    close(out, expected)
    out[RIGHT.bool()].square().sum().backward()
    used = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    assert any("query" in name for name in used)
    silent = bert(attention_probs_dropout_prob=0.0).train()
    silent.set_attn_implementation("regard-smyrf")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        silent(IDS)


def test_observed_weights_are_those_of_the_model() -> None:
    for make, mask in ((bert, RIGHT), (gpt2, LEFT), (llama, LEFT)):
        model = make()
        model.set_attn_implementation("eager")
        with torch.no_grad():
            expected = model(IDS, attention_mask=mask, output_attentions=True).attentions
        model.set_attn_implementation("regard-softmax")
        seen: list[Observation] = []
        with regard.observe(model, seen.append):
            states(model, mask=mask)
        assert len(seen) == len(expected)
        for one, weights in zip(seen, expected, strict=True):
            rows = mask.bool()
            close(one.probabilities.transpose(1, 2)[rows], weights.transpose(1, 2)[rows])


def test_decoding_is_observed_too() -> None:
    model = llama()
    model.set_attn_implementation("regard-local")
    with torch.no_grad():
        past = model(IDS, use_cache=True).past_key_values
        seen: list[Observation] = []
        with regard.observe(model, seen.append):
            model(IDS[:, :1], past_key_values=past)
    assert seen[0].probabilities.shape == (2, 4, 1, N + 1)
    torch.testing.assert_close(seen[0].probabilities @ seen[0].v, seen[0].output)


# -- pre-trained models


def fetched(name: str) -> Any:
    return pytest.mark.skipif(
        not models.fetched(name, ROOT), reason=f"{name} has not been fetched (python -m regard_lab.models {name})"
    )


@pytest.mark.slow
@fetched("minilm")
@pytest.mark.parametrize("name", ALL)
def test_minilm_rows_of_a_batch_are_their_unpadded_runs(name: str) -> None:
    model, tokenizer = models.load("minilm", ROOT), models.load_tokenizer("minilm", ROOT)
    texts = [
        "A short one.",
        "Clusters of queries and keys need no padding to be exact, however long the other rows of their batch are, and none of them may notice.",
        "The film is long, and yet it never drags; its last scene alone is worth the ticket.",
    ]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    assert not batch["attention_mask"].all()
    model.set_attn_implementation(f"regard-{name}")
    if name == "smyrf":
        huggingface.configure(model, rounds=2, cluster_size=8)
    together = states(model, batch["input_ids"], batch["attention_mask"])
    for row, text in enumerate(texts):
        alone = states(model, tokenizer(text, return_tensors="pt")["input_ids"])[0]
        close(together[row, : len(alone)], alone, atol=2e-5)


@pytest.mark.slow
@fetched("minilm")
def test_minilm_in_one_cluster_is_minilm() -> None:
    model, tokenizer = models.load("minilm", ROOT), models.load_tokenizer("minilm", ROOT)
    ids = tokenizer("The cat sat on the mat, and the dog watched it from the door.", return_tensors="pt")["input_ids"]
    expected = states(model, ids)
    model.set_attn_implementation("regard-smyrf")
    huggingface.configure(model, cluster_size=ids.shape[1])
    close(states(model, ids), expected)


@pytest.mark.slow
@fetched("vit")
def test_vit_of_1369_patches() -> None:
    model = models.load("vit", ROOT)
    picture = draw(1, 3, 518, 518, seed=0, dtype=torch.float32)
    with torch.no_grad():
        expected = model(picture).last_hidden_state
        assert expected.shape == (1, 1370, 384)
        model.set_attn_implementation("regard-smyrf")
        huggingface.configure(model, rounds=2, cluster_size=1370)
        close(model(picture).last_hidden_state, expected, atol=1e-4)
        model.set_attn_implementation("regard-softmax")
        huggingface.configure(model, mechanism="smyrf", layers=[6, 7], rounds=2, cluster_size=64)
        swapped_two = model(picture).last_hidden_state
    similarity = torch.cosine_similarity(swapped_two, expected, dim=-1).mean()
    assert 0.5 < similarity < 0.9999


@pytest.mark.slow
@fetched("smollm2")
def test_smollm2_keeps_its_past() -> None:
    model, tokenizer = models.load("smollm2", ROOT), models.load_tokenizer("smollm2", ROOT)
    ids = tokenizer("The capital of France is Paris, and that of Italy is Rome.", return_tensors="pt")["input_ids"]
    changed = ids.clone()
    changed[:, 8:] = 100
    expected = states(model, ids)
    for name in CAUSAL:
        model.set_attn_implementation(f"regard-{name}")
        found, of_changed = states(model, ids), states(model, changed)
        close(found[:, :8], of_changed[:, :8], atol=1e-4)
        assert not torch.allclose(found[:, 8:], of_changed[:, 8:], atol=1e-2)
        if name == "softmax":
            close(found, expected, atol=1e-3)
            given = {"max_new_tokens": 8, "do_sample": False}
            start = tokenizer("The capital of France is", return_tensors="pt")
            assert "Paris" in tokenizer.decode(model.generate(**start, **given)[0])

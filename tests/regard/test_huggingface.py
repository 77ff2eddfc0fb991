"""Regard inside Hugging Face models: small models of the classes that matter, and pre-trained ones where they have been fetched."""

import copy
import json
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from vectors import draw

import regard
from regard.adapters import huggingface
from regard.adapters.functions import DEFAULTS, Call, directions, mixed, performer_projection, smyrf_options
from regard.observers import Observation
from regard.registry import UnsupportedPattern, mechanism_class
from regard_lab import models

transformers = pytest.importorskip("transformers")
ROOT = Path(__file__).parents[2]
ALL = sorted(DEFAULTS)
CAUSAL = ["cosformer", "local", "performer", "softmax"]  # those that can go on from a cache
ENCODING = [name for name in ALL if "causal_self" not in mechanism_class(name).patterns]
EXACT: dict[str, dict[str, Any]] = {  # for 12 tokens
    "local": {"window": 12},
    "nystrom": {"landmarks": 12},
    "probsparse": {"factor": 12},
    "smyrf": {"rounds": 3, "cluster_size": 12},
    "softmax": {},
}
SMALL = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
N = 12
IDS = torch.randint(1, 60, (2, N), generator=torch.Generator().manual_seed(0))
RIGHT = torch.ones(2, N, dtype=torch.long)
RIGHT[1, 7:] = 0
LEFT = RIGHT.flip(1)


@pytest.fixture(autouse=True, scope="module")
def registered() -> None:
    huggingface.register()


def made(model: str, **options: Any) -> Any:
    torch.manual_seed(0)
    names = {"Bert": "BertModel", "Llama": "LlamaForCausalLM", "Mistral": "MistralForCausalLM"}
    config = getattr(transformers, f"{model}Config")(**{**SMALL, **options})
    return getattr(transformers, names[model])(config).eval()


def bert(**options: Any) -> Any:
    return made("Bert", **options)


def llama(**options: Any) -> Any:
    return made("Llama", num_key_value_heads=2, max_position_embeddings=64, **options)


def gpt2(**options: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"vocab_size": 60, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    config = transformers.GPT2Config(**sizes, bos_token_id=1, eos_token_id=2, **options)
    return transformers.GPT2LMHeadModel(config).eval()


def dinov2() -> Any:
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": 28, "patch_size": 7}
    return transformers.Dinov2Model(transformers.Dinov2Config(**sizes)).eval()


@torch.no_grad()
def states(model: Any, ids: Tensor = IDS, mask: Tensor | None = None, **given: Any) -> Tensor:
    output = model(ids, attention_mask=mask, **given)
    found: Tensor = output.logits if hasattr(output, "logits") else output.last_hidden_state
    return found


def close(a: Tensor, b: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)


def test_what_is_registered() -> None:
    assert huggingface.register() == [f"regard-{name}" for name in ALL]
    sizes = {"width": 8, "heads": 2, "length": 4}
    four_maps = regard.cost.parameters("softmax", **sizes)
    parameterless = [
        name
        for name in regard.mechanisms()
        if (cls := mechanism_class(name)).maps == ("query", "key", "value", "output")
        and regard.cost.parameters(name, **{**sizes, **cls.example}) == four_maps
    ]
    assert parameterless == ALL


@pytest.mark.parametrize("name", ALL)
def test_defaults_are_those_of_the_layers(name: str) -> None:
    layer = regard.build(name, width=8, heads=2)
    known = {**vars(layer), **vars(layer).get("sizes", {})}
    if name == "smyrf":
        known["buckets"] = None  # a layer has a number; a model's lengths differ, and buckets follow them
    assert {option: known[option] for option in DEFAULTS[name]} == DEFAULTS[name]


@pytest.mark.parametrize("name", sorted(EXACT))
@pytest.mark.parametrize("mask", [None, RIGHT, LEFT])
def test_the_exact_limit_is_the_model_itself(name: str, mask: Tensor | None) -> None:
    model = bert()
    expected = states(model, mask=mask)
    model.set_attn_implementation(f"regard-{name}")
    huggingface.options(model, **EXACT[name])
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
        "probsparse": {"factor": 1},
    }
    huggingface.options(model, **small.get(name, {"landmarks": 3} if "landmarks" in DEFAULTS[name] else {}))
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
        huggingface.options(model, **{"local": {"window": 3}, "smyrf": {"cluster_size": 3}}[name])
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


def states_of_dense(model: Any, mask: Tensor) -> Tensor:
    dense = copy.deepcopy(model)
    dense.set_attn_implementation("eager")
    return states(dense, mask=mask)


@pytest.mark.parametrize("make", [gpt2, llama])
@pytest.mark.parametrize("name", CAUSAL)
def test_generation_with_a_cache_is_generation_without(make: Any, name: str) -> None:
    model = make()
    model.set_attn_implementation(f"regard-{name}")
    if name == "local":
        huggingface.options(model, window=3)
    given = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    cached = model.generate(IDS, attention_mask=LEFT, **given)
    assert torch.equal(cached, model.generate(IDS, attention_mask=LEFT, use_cache=False, **given))
    assert torch.equal(cached[1, 5:], model.generate(IDS[1:, 5:], **given)[0])  # left padding changes nothing
    with torch.no_grad():  # several tokens at once on top of a cache
        first = model(IDS[:, :5], use_cache=True)
        rest = model(IDS[:, 5:], past_key_values=first.past_key_values).logits
    close(rest, states(model)[:, 5:])
    with pytest.raises(ValueError, match="use a cache that grows, not a static one"):
        model.generate(IDS, attention_mask=LEFT, cache_implementation="static", **given)


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
    with pytest.raises(ValueError, match=r"'smyrf' cannot go on from a cache \(1 new of 13 tokens\)"):
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
        found = mixed(name, q, k, v, Call(options={**DEFAULTS[name], **options}, scale=0.9))
        close(found, mixed("softmax", q, k, v, Call(scale=0.9)))
    for name in ("lara", "performer"):
        found = mixed(name, q, k, v, Call(options={**DEFAULTS[name]}, scale=0.9))
        close(found, mixed(name, q * 0.9 * 4**0.5, k, v, Call(options={**DEFAULTS[name]})))


def encoder_decoder() -> Any:
    torch.manual_seed(0)
    sizes = {
        f"{part}_{what}": size
        for part in ("encoder", "decoder")
        for what, size in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 32))
    }
    config = transformers.BartConfig(vocab_size=60, d_model=32, max_position_embeddings=64, **sizes)
    return transformers.BartModel(config).eval()


def test_cross_attention_is_not_taken_for_self_attention() -> None:
    model = encoder_decoder()
    given = {"decoder_input_ids": IDS.flip(1)}  # as long as the source, and not padded where it is
    expected = states(model, mask=RIGHT, **given)
    model.set_attn_implementation("regard-softmax")
    close(states(model, mask=RIGHT, **given), expected)
    huggingface.options(model.encoder, mechanism="nystrom", layers=[0])
    with pytest.raises(UnsupportedPattern, match="'causal_self'"):  # encoder and decoder share config and numbers
        states(model, mask=RIGHT, **given)

    bert_decoder = bert(is_decoder=True, add_cross_attention=True)
    given = {"encoder_hidden_states": draw(2, N, 32, seed=5, dtype=torch.float32), "encoder_attention_mask": RIGHT}
    expected = states(bert_decoder, mask=LEFT, **given)
    swapped(bert_decoder)
    close(states(bert_decoder, mask=LEFT, **given)[LEFT.bool()], expected[LEFT.bool()])
    crossing = bert_decoder.encoder.layer[0].crossattention.self
    assert huggingface.crosses(crossing)
    assert not huggingface.is_causal_module(crossing, True)
    assert not huggingface.crosses(bert().encoder.layer[0].attention.self)

    module = model.decoder.layers[0].encoder_attn
    model.set_attn_implementation("regard-smyrf")
    del model.config.regard_attention
    q, k, v = (draw(2, 4, N, 8, seed=seed, dtype=torch.float32) for seed in range(3))
    out, _ = huggingface.attention(module, q, k, v, RIGHT.bool())
    assert out[1, 7:].abs().min() > 0  # queries that the source's padding would hide
    assert out.shape == (2, N, 4, 8)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: states(swapped(made("Mistral", num_key_value_heads=2, sliding_window=4))), "more than padding and causality"),
        (lambda: states(swapped(llama()), position_ids=torch.arange(N).expand(2, N) % 6, use_cache=False), "more than padding and causality"),
        (lambda: states(swapped(bert()), output_attentions=True), r"regard\.observe"),
        (lambda: states(swapped(bert()), mask=band()), r"mask \(2, 1, 12, 12\) of torch.bool is not padding:"),
        (lambda: states(swapped(llama()), mask=band()), "is not padding and causality"),
        (lambda: states(swapped(llama()), mask=torch.ones(2, 1, N, N).log()), "is not padding and causality"),
        (lambda: states(swapped(llama()), mask=torch.zeros(2, 1, N, N).masked_fill(~lower(), -1.0)), "is not padding and causality"),
    ],
)  # fmt: skip
def test_masks_that_no_mechanism_takes(run: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run()


def swapped(model: Any) -> Any:
    model.set_attn_implementation("regard-softmax")
    return model


def lower() -> Tensor:
    return torch.ones(2, 1, N, N, dtype=torch.bool).tril()


def band() -> Tensor:
    return lower().triu(-3)


def test_position_biases_are_refused() -> None:
    torch.manual_seed(0)
    config = transformers.T5Config(vocab_size=60, d_model=32, d_kv=8, num_layers=1, num_heads=4, d_ff=32)
    model = swapped(transformers.T5EncoderModel(config).eval())
    with pytest.raises(ValueError, match=r"wants a position bias \(position_bias=\)"):
        states(model)


def test_prepared_masks_that_are_padding_and_causality_are_taken() -> None:
    model = swapped(llama())
    expected = states(model, mask=LEFT)[LEFT.bool()]
    seen = lower() & LEFT.bool()[:, None, None]
    close(states(model, mask=seen)[LEFT.bool()], expected)
    lowest = torch.finfo(torch.float32).min
    close(states(model, mask=torch.zeros(2, 1, N, N).masked_fill(~seen, lowest))[LEFT.bool()], expected)
    encoder = swapped(bert())
    expected = states(encoder, mask=RIGHT)
    close(states(encoder, mask=RIGHT.bool()[:, None, None].expand(2, 1, N, N))[RIGHT.bool()], expected[RIGHT.bool()])


def test_the_mask_function() -> None:
    from transformers.masking_utils import bidirectional_mask_function, causal_mask_function

    sizes = {"batch_size": 2, "q_length": 3, "kv_length": 5}
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    kept = huggingface.padding_mask(**sizes, q_offset=2, mask_function=causal_mask_function, attention_mask=mask)
    assert kept is not None
    assert kept.dtype == torch.bool
    assert kept.tolist() == [[False, True, True, True, False], [True] * 4 + [False]]
    assert huggingface.padding_mask(**sizes, mask_function=bidirectional_mask_function) is None
    assert (
        huggingface.padding_mask(2, 5, 5, mask_function=causal_mask_function, attention_mask=torch.ones(2, 5)) is None
    )
    with pytest.raises(ValueError, match="3 queries so far and 5 keys"):
        huggingface.padding_mask(**sizes, mask_function=causal_mask_function)

    def own(*place: int) -> bool:
        return True

    with pytest.raises(ValueError, match=r"more than padding and causality .*own"):
        huggingface.padding_mask(**sizes, mask_function=own)


def test_a_decoder_without_causality() -> None:
    model = llama()
    model.config.is_causal = False
    expected = states_of_dense(model, LEFT)
    model.set_attn_implementation("regard-softmax")
    close(states(model, mask=LEFT)[LEFT.bool()], expected[LEFT.bool()])
    assert not torch.allclose(states(model)[:, 0], states(llama())[:, 0])


def test_options_for_all_layers_and_for_single_ones(tmp_path: Path) -> None:
    model = bert()
    dense = states(model)
    model.set_attn_implementation("regard-softmax")
    huggingface.options(model, mechanism="smyrf", layers=[1], rounds=1, cluster_size=3, seed=7)
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

    huggingface.options(model, mechanism="smyrf", layers=[0, 1], cluster_size=N)
    close(states(model), dense)
    huggingface.options(model, mechanism="smyrf", layers=[0, 1], rounds=1, cluster_size=3, seed=8)
    other = states(model)
    huggingface.options(model, seed=7)
    assert not torch.allclose(states(model), other)


def test_options_of_one_mechanism_leave_anothers() -> None:
    model = bert()
    model.set_attn_implementation("regard-local")
    huggingface.options(model, window=1)
    narrow = states(model)
    huggingface.options(model, mechanism="smyrf", cluster_size=4)
    assert torch.equal(states(model), narrow)
    huggingface.options(model)
    assert not torch.allclose(states(model), narrow)  # back to the default window


def test_models_without_numbers_are_numbered(tmp_path: Path) -> None:
    model = dinov2()
    picture = draw(1, 3, 28, 28, seed=0, dtype=torch.float32)
    model.set_attn_implementation("regard-softmax")
    huggingface.options(model, mechanism="smyrf", layers=[0, 2], cluster_size=5)
    seen: list[Observation] = []
    with regard.observe(model, seen.append), torch.no_grad():
        found = model(picture).last_hidden_state
    assert [one.mechanism for one in seen] == ["smyrf", "softmax", "smyrf"]
    model.save_pretrained(tmp_path)
    loaded = transformers.Dinov2Model.from_pretrained(tmp_path, attn_implementation="regard-softmax").eval()
    with pytest.raises(
        ValueError, match=re.escape("options(model, layers=[], mechanism='softmax') once after loading")
    ):
        loaded(picture)
    huggingface.options(loaded, layers=[], mechanism="softmax")
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
        huggingface.options(model, **arguments)
    assert not hasattr(model.config, "regard_attention")


def test_draws_depend_on_seed_layer_and_width_alone() -> None:
    q = torch.zeros(1, 4, 3, 8)

    def drawn(q: torch.Tensor, seed: int, **options: Any) -> torch.Tensor:
        return smyrf_options(q, Call(options=DEFAULTS["smyrf"] | options, seed=seed))["directions"]

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
    directions.cache_clear()
    performer_projection.cache_clear()
    with torch.inference_mode():
        model(IDS)  # what is drawn here must be fit for training
    model(IDS).last_hidden_state.sum().backward()
    assert not directions(0, 8, 2).is_inference()


def test_training_has_gradients_and_says_that_dropout_is_left_out() -> None:
    model = bert(attention_probs_dropout_prob=0.1, hidden_dropout_prob=0.0)
    model.set_attn_implementation("regard-smyrf")
    expected = states(model, mask=RIGHT)
    model.train()
    with pytest.warns(UserWarning, match="attention dropout of 0.1 is left out"):
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


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"needs transformers: pip install 'regard\[huggingface\]'"):
        huggingface.register()


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
        huggingface.options(model, rounds=2, cluster_size=8)
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
    huggingface.options(model, cluster_size=ids.shape[1])
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
        huggingface.options(model, rounds=2, cluster_size=1370)
        close(model(picture).last_hidden_state, expected, atol=1e-4)
        model.set_attn_implementation("regard-softmax")
        huggingface.options(model, mechanism="smyrf", layers=[6, 7], rounds=2, cluster_size=64)
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
        found = states(model, ids)
        close(found[:, :8], states(model, changed)[:, :8], atol=1e-4)
        assert not torch.allclose(found[:, 8:], states(model, changed)[:, 8:], atol=1e-2)
        if name == "softmax":
            close(found, expected, atol=1e-3)
            given = {"max_new_tokens": 8, "do_sample": False}
            start = tokenizer("The capital of France is", return_tensors="pt")
            assert "Paris" in tokenizer.decode(model.generate(**start, **given)[0])

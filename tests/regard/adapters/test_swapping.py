"""`regard.swap` on models of all kinds: what it catches, what it proves, what it refuses, and the way back."""

import copy
import io
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import regard
from regard.adapters import huggingface, swapping
from regard.adapters.proof import SwapError
from regard.adapters.swap_state import MARKS
from regard.observers import Observation
from tests.regard.adapters.swapped_models import (
    DROP,
    GQA,
    HEADS,
    IDS,
    IMAGE,
    MODELS,
    N,
    TimmAttention,
    TimmBlock,
    W,
    X,
)
from tests.regard.lively import built, lively

transformers = pytest.importorskip("transformers")


def made(name: str) -> tuple[nn.Module, Any, Any]:
    torch.manual_seed(0)
    make, example, where = MODELS[name]
    return lively(make()), example, where


def result(model: nn.Module, example: Any) -> dict[str, Tensor]:
    given = swapping.examples.of_user(example) if example is not None else swapping.examples.find(model)
    assert given is not None
    with swapping.quiet(model):
        found = swapping.proof.outputs(model, given)
    if example is X or not isinstance(example, dict) or not any(value is DROP for value in example.values()):
        return found
    return {name: x[~DROP] for name, x in found.items()}  # padded places mean nothing


def distance(a: dict[str, Tensor], b: dict[str, Tensor]) -> float:
    assert a.keys() == b.keys()
    return max(float((a[name] - b[name]).abs().max()) for name in a)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_softmax_in_every_place_is_the_model_and_back(name: str) -> None:
    model, example, _ = made(name)
    expected = result(model, example)
    classes = [type(module) for module in model.modules()]
    report = regard.swap(model, "softmax", example=example, where="possible")
    assert report.swapped
    assert distance(result(model, example), expected) < 1e-3 * max(float(x.abs().max()) for x in expected.values())
    assert any("softmax, without padding" in check or "softmax, as given" in check for check in report.checks)
    regard.unswap(model)
    assert distance(result(model, example), expected) == 0
    assert [type(module) for module in model.modules()] == classes
    left = [mark for module in model.modules() for mark in vars(module) if mark in MARKS]
    assert not left


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"T5", "SAM vision"}))
def test_smyrf_is_really_run_and_what_is_not_swapped_is_kept(name: str) -> None:
    model, example, where = made(name)
    expected = result(model, example)
    report = regard.swap(model, "smyrf", example=example, where=where, rounds=1, cluster_size=4)
    assert set(report.swapped) & set(report.kept) == set()
    assert distance(result(model, example), expected) > 1e-3
    again = copy.deepcopy(model)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    for twin in (again, loaded):
        assert distance(result(twin, example), result(model, example)) == 0
    regard.unswap(again)
    assert distance(result(again, example), expected) == 0
    one = regard.swap(
        model, "smyrf", example=example, where=report.swapped[0], rounds=1, cluster_size=64
    )  # one cluster
    assert one.swapped == report.swapped[:1]
    assert distance(result(model, example), expected) < 1e-3 * max(float(x.abs().max()) for x in expected.values())


def test_a_report_counts_and_names() -> None:
    model, _, where = made("Gemma 2")
    report = regard.swap(model, "smyrf", where=where, cluster_size=8)
    assert report.swapped == ["layers.1.self_attn"]
    assert report.kept == {"layers.0.self_attn": "not chosen"}
    possible = regard.swap(model, "smyrf", where="possible", cluster_size=8)
    assert possible.swapped == ["layers.1.self_attn"]
    assert possible.kept == {"layers.0.self_attn": "it asks for a sliding window"}
    text = str(possible)
    assert "smyrf in 1 attentions: layers.1.self_attn" in text
    assert "layers.0.self_attn: it asks for a sliding window" in text
    assert "proven: the future of input_ids from token 20 leaves last_hidden_state as it was" in text


def test_which_attention_is_self_attention_is_found_out() -> None:
    model, example, _ = made("two normed tensors")
    regard.swap(model, "smyrf", example=example, cluster_size=3)
    dirty = X.masked_fill(DROP[:, :, None], 9.0)
    with torch.no_grad():
        a, b = model(X, key_padding_mask=DROP), model(dirty, key_padding_mask=DROP)
        alone = model(X[1:, :13])
    assert torch.equal(a[~DROP], b[~DROP])
    torch.testing.assert_close(alone[0], a[1, :13])
    block, example, _ = made("diffusers block")
    regard.swap(block, "smyrf", example=example, cluster_size=4)
    assert not vars(block.attn1)["regard_across"]
    assert vars(block.attn2)["regard_across"]
    equal = {"hidden_states": X, "encoder_hidden_states": X.flip(1)}  # as long as each other
    regard.swap(block, "smyrf", example=equal, cluster_size=4)
    assert not vars(block.attn1)["regard_across"]
    assert vars(block.attn2)["regard_across"]


@pytest.mark.parametrize("name", ["nn.TransformerDecoder", "Whisper", "T5"])
def test_cross_attention_of_a_causal_target_is_refused(name: str) -> None:
    model, example, _ = made(name)
    expected = result(model, example)
    with pytest.raises(SwapError, match=r"'smyrf' cannot take the place of .* of .* attentions"):
        regard.swap(model, "smyrf", example=example, cluster_size=4)
    assert distance(result(model, example), expected) == 0  # it is as it was
    if name != "T5":
        report = regard.swap(model, "performer", example=example)
        assert any("future" in check for check in report.checks)


class Wrong(nn.Module):
    """A model whose attention hides a key by a rule of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.attn = TimmAttention()

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.ones(N, N, dtype=torch.bool)
        mask[3, 5] = False
        return self.attn(x, attn_mask=mask)  # type: ignore[no-any-return]


class Biased(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = TimmAttention()
        self.bias = nn.Parameter(torch.randn(HEADS, N, N))

    def forward(self, x: Tensor) -> Tensor:
        return self.attn(x, attn_mask=self.bias)  # type: ignore[no-any-return]


class Own(nn.Module):
    """Attention by hand: nothing to catch."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = HandAttention()

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x)  # type: ignore[no-any-return]


class HandAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(W, W) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        weights: Tensor = (self.q(x) @ self.k(x).mT / W**0.5).softmax(-1)
        return weights @ self.v(x)  # type: ignore[no-any-return]


class Both(nn.Module):
    """Self and cross attention by one module's code."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(W, W), nn.Linear(W, W)

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        q = self.q(x).unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for source in (x, z):
            k = self.k(source).unflatten(-1, (HEADS, -1)).transpose(1, 2)
            q = q + F.scaled_dot_product_attention(q, k, k)
        return q


class Flat(nn.Module):
    """Heads in the batch, as older code has them: q, k and v of three dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(W, 3 * W)

    def forward(self, x: Tensor) -> Tensor:
        parts = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2).flatten(0, 1) for part in self.qkv(x).chunk(3, -1))
        out = F.scaled_dot_product_attention(*parts, is_causal=True)
        return out.unflatten(0, (len(x), HEADS)).transpose(1, 2).flatten(2)


class Masked(nn.Module):
    """Causality and padding by a tensor that the caller hands in."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = TimmAttention(), TimmAttention()

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.second(self.first(x, attn_mask=mask), attn_mask=mask)  # type: ignore[no-any-return]


def test_a_mask_is_read_and_read_again_when_it_has_changed() -> None:
    model = lively(Masked())
    seen = torch.ones(N, N, dtype=torch.bool).tril()[None, None] & ~DROP[:, None, None]
    regard.swap(model, "smyrf", example=(X, seen), cluster_size=64)
    original = copy.deepcopy(model)
    regard.unswap(original)
    with torch.no_grad():
        close(model(X, seen)[~DROP], original(X, seen)[~DROP])
        seen[:, :, :, 3] = False  # in place, so that it is another mask under the same name
        kept = ~DROP & (torch.arange(N) != 3)
        close(model(X, seen)[kept], original(X, seen)[kept])
    with torch.inference_mode():
        inside = seen.clone()
        close(model(X, inside)[kept], original(X, inside)[kept])


def test_a_swapped_part_has_to_be_taken_back_first() -> None:
    model: Any = made("GPT-2")[0]
    huggingface.register()
    model.set_attn_implementation("regard-softmax")
    with pytest.raises(ValueError, match="runs 'regard-softmax' already"):
        regard.swap(model, "smyrf")


class Two(nn.Module):
    """Two attentions that call torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = TimmAttention(), TimmAttention()

    def forward(self, x: Tensor) -> Tensor:
        return self.second(x + self.first(x))  # type: ignore[no-any-return]


def part_of_torch() -> nn.Module:
    return nn.ModuleDict({"first": nn.TransformerEncoderLayer(W, HEADS, batch_first=True)})


@pytest.mark.parametrize("make", [Two, part_of_torch])
def test_a_part_and_the_whole_are_not_swapped_both(make: Any) -> None:
    model = lively(make())
    part = model.first if isinstance(model, Two) else model["first"]
    regard.swap(part, "smyrf", example=X, cluster_size=8)
    with pytest.raises(ValueError, match=r"'first' of .* is swapped by itself: call regard.unswap on it first"):
        regard.swap(model, "local", example=X, window=3)
    expected = part(X)
    regard.unswap(part)
    assert not torch.equal(part(X), expected)  # the part had kept its swap
    if isinstance(model, Two):
        regard.swap(model, "local", example=X, window=3)
        expected = model(X)
        with pytest.raises(ValueError, match="of a larger model that is swapped"):
            regard.swap(part, "smyrf", example=X, cluster_size=8)
        assert torch.equal(model(X), expected)


def test_another_model_of_the_same_config_stays_as_it_is() -> None:
    first: Any = made("BERT")[0]
    torch.manual_seed(1)
    second = lively(type(first)(first.config))
    config, expected = first.config, result(second, None)
    implementation = config._attn_implementation
    regard.swap(first, "smyrf", cluster_size=3)
    assert second.config is config
    assert config._attn_implementation == implementation
    assert distance(result(second, None), expected) == 0
    with pytest.raises(ValueError, match="holds no attention of Regard"):
        regard.observe(second, print)
    regard.swap(second, "local", window=3)
    moved = result(second, None)
    regard.unswap(first)
    assert distance(result(second, None), moved) == 0
    first.config.regard_note = "kept"
    regard.swap(first, "smyrf", cluster_size=3)
    first.config.vocab_size += 1
    regard.unswap(first)
    assert first.config is config
    assert (config.regard_note, config._attn_implementation) == ("kept", implementation)
    assert config.vocab_size == second.config.vocab_size + 1  # changed while there were two
    regard.unswap(second)
    assert distance(result(second, None), expected) == 0


@pytest.mark.parametrize("example", [X * torch.nan, X[:0], X[:, :0]])
def test_an_example_that_proves_nothing(example: Tensor) -> None:
    model = lively(Two())
    with pytest.raises(ValueError, match="nothing can be proven"):
        regard.swap(model, "smyrf", example=example, cluster_size=8)
    assert not hasattr(model, "regard_swaps")


def test_a_model_whose_weights_are_not_finite() -> None:
    model = lively(Two())
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    with pytest.raises(ValueError, match="nothing can be proven"):
        regard.swap(model, "softmax", example=X)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 5}, "model must be a torch.nn.Module, got 5"),
        ({"seed": "a"}, "seed must be an integer, got 'a'"),
        ({"seed": None}, "seed must be an integer, got None"),
        ({"seed": 1.5}, "seed must be an integer, got 1.5"),
        ({"seed": True}, "seed must be an integer, got True"),
        ({"seed": 2**70}, "seed must be between"),
        ({"where": 5}, "where must be a pattern of names, several, or a function of a name, got 5"),
        ({"where": [5]}, "where must be a pattern of names"),
    ],
)
def test_arguments_of_the_wrong_type(arguments: dict[str, Any], message: str) -> None:
    given = {"model": lively(Two()), "mechanism": "smyrf", "example": X, **arguments}
    with pytest.raises((TypeError, ValueError), match=message):
        regard.swap(**given)
    assert not isinstance(given["model"], nn.Module) or not hasattr(given["model"], "regard_swaps")


def test_heads_in_the_batch() -> None:
    model = lively(Flat())
    expected = model(X)
    regard.swap(model, "smyrf", example=X, cluster_size=64)
    torch.testing.assert_close(model(X), expected, rtol=1e-4, atol=1e-4)
    regard.swap(model, "smyrf", example=X, cluster_size=3, rounds=1)
    assert not torch.allclose(model(X), expected, atol=1e-2)
    later = torch.cat((X[:, :9], -X[:, 9:]), 1)
    assert torch.equal(model(later)[:, :9], model(X)[:, :9])


def test_self_and_cross_attention_in_one_module_is_refused() -> None:
    model = lively(Both())
    with pytest.raises(SwapError, match="self attention and cross attention by one module"):
        regard.swap(model, "smyrf", example=(X, X.flip(1)), cluster_size=4)


class Half(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.caught, self.hand = TimmAttention(), HandAttention()

    def forward(self, x: Tensor) -> Tensor:
        return self.hand(self.caught(x))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("make", "given", "error", "message"),
    [
        (Wrong, {}, SwapError, r"attn: it asks for the attention mask \(21, 21\) of torch.bool is not padding"),
        (Biased, {}, SwapError, "attn: it asks for a bias of the scores"),
        (Own, {}, SwapError, "Own has no attention that can be caught.*attention are code of their own"),
        (Half, {}, SwapError, r'1 modules of Half look like attention but call none that can be caught.*: hand; say where="possible"'),
        (TimmBlock, {"where": "encoder.*"}, ValueError, r"no attention is named 'encoder.\*'; there are attn"),
        (TimmBlock, {"where": lambda name: False}, ValueError, "where= chooses no attention; there are attn"),
        (TimmBlock, {"window": 3}, ValueError, "'smyrf' has no option window"),
        (TimmBlock, {"cluster_size": 0}, ValueError, "cluster_size must be at least 1, got 0"),
        (TimmBlock, {"mechanism": "abc"}, ValueError, "'abc' has parameters of its own"),
        (TimmBlock, {"mechanism": "smurf"}, ValueError, "Did you mean 'smyrf'"),
        (TimmBlock, {"example": None}, ValueError, "no inputs for TimmBlock could be made: give some"),
        (TimmBlock, {"example": 3}, TypeError, "example must be a tensor, a tuple of arguments or a dict"),
        (lambda: nn.Linear(W, W), {}, SwapError, "Linear has no attention that can be caught"),
    ],
)  # fmt: skip
def test_what_cannot_be_swapped_is_an_error_and_the_model_stays(
    make: Any, given: dict[str, Any], error: Any, message: str
) -> None:
    torch.manual_seed(0)
    model = make()
    before = model(X)
    arguments = {"mechanism": "smyrf", "example": X, **given}
    with pytest.raises(error, match=message):
        regard.swap(model, **arguments)
    assert torch.equal(model(X), before)
    assert not [mark for module in model.modules() for mark in vars(module) if mark.startswith("regard")]


def test_what_can_be_caught_is_swapped_beside_what_cannot() -> None:
    model = lively(Half())
    report = regard.swap(model, "smyrf", example=X, where="possible", cluster_size=4)
    assert (report.swapped, report.unseen) == (["caught"], ["hand"])


def test_a_mechanism_that_shows_more_than_the_model_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were SMYRF to say that it has causal_cross, the proof would say that it lies."""
    from regard.mechanisms.smyrf import SmyrfAttention

    monkeypatch.setattr(SmyrfAttention, "patterns", (*SmyrfAttention.patterns, "causal_cross"))
    model, example, _ = made("Whisper")
    with pytest.raises(
        SwapError,
        match=r"'smyrf' lets the future of decoder_input_ids from token .* change the output last_hidden_state",
    ):
        regard.swap(model, "smyrf", example=example, cluster_size=4)


def test_swapped_attention_is_observed_compiled_trained_and_autocast() -> None:
    model, example, _ = made("timm ViT")
    regard.swap(model, "smyrf", example=example, rounds=2, cluster_size=6)
    seen: list[Observation] = []
    with regard.observe(model, seen.append):
        expected = model(IMAGE)
    assert [one.name for one in seen] == ["blocks.0.attn", "blocks.1.attn"]
    assert seen[0].clusters.queries.shape == (2, 2, HEADS, 36)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(IMAGE), expected, rtol=1e-4, atol=1e-4)
    model.train()
    model(IMAGE).square().sum().backward()
    assert model.blocks[0].attn.qkv.weight.grad.abs().max() > 0
    with torch.autocast("cpu", torch.bfloat16):
        assert (model(IMAGE).float() - expected).abs().max() < 0.5 * expected.abs().max()
    model.blocks[0].attn.attn_drop.p = 0.3
    with pytest.raises(
        ValueError, match=r"blocks.0.attn \(TimmAttention\) asks 'smyrf' for an attention dropout of 0.3"
    ):
        model(IMAGE)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["BERT", "Mistral"])
def test_swapped_models_of_transformers_compile_in_one_graph(name: str) -> None:
    model, _, _ = made(name)
    mask = (~DROP).long()
    for mechanism in ("softmax", "smyrf"):
        regard.swap(model, mechanism)
        torch.compiler.reset()
        compiled = torch.compile(model, fullgraph=True, backend="eager")
        for given in ({}, {"attention_mask": mask}):
            with torch.no_grad():
                close(compiled(IDS, **given)[0], model(IDS, **given)[0])


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_second_swap_takes_the_place_of_the_first() -> None:
    model, example, _ = made("BERT")
    expected = result(model, example)
    regard.swap(model, "smyrf", cluster_size=4)
    regard.swap(model, "local", where="encoder.layer.1.*", window=2)
    local = result(model, example)
    regard.unswap(model)
    regard.swap(model, "local", where=lambda name: "layer.1" in name, window=2)
    assert distance(result(model, example), local) == 0
    regard.unswap(model)
    assert distance(result(model, example), expected) == 0
    assert model.config._attn_implementation == "sdpa"
    regard.unswap(model)  # nothing to do


def test_generation_goes_on_and_steps_are_right() -> None:
    for name in ("Mistral", "Falcon"):
        kind = {"Mistral": ("Mistral:MistralForCausalLM", {**GQA, "sliding_window": None}),
                "Falcon": ("Falcon:FalconForCausalLM", {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2,
                                                        "num_attention_heads": 4, "alibi": False})}[name]  # fmt: skip
        model: Any = built(kind[0], **kind[1])
        given = {"max_new_tokens": 5, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
        expected = model.generate(IDS, **given)
        for mechanism, options in (("softmax", {}), ("local", {"window": 64}), ("performer", {}), ("cosformer", {})):
            regard.swap(model, mechanism, **options)
            found = model.generate(IDS, **given)
            assert torch.equal(found, model.generate(IDS, use_cache=False, **given)), (name, mechanism)
            if mechanism in ("softmax", "local"):
                assert torch.equal(found, expected)
        regard.swap(model, "smyrf")
        with pytest.raises(ValueError, match=r"'smyrf' cannot continue from a cache \(1 new of 22 tokens\)"):
            model.generate(IDS, **given)
        assert model.generate(IDS, use_cache=False, **given).shape == (2, N + 5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("name", ["BERT", "Mistral"])
def test_other_types_are_proven_too(name: str, dtype: torch.dtype) -> None:
    model: Any = made(name)[0].to(dtype)
    assert len(regard.swap(model, "smyrf", cluster_size=4).swapped) == 2
    assert model(IDS)[0].dtype == dtype
    regard.unswap(model)
    model.set_attn_implementation("regard-smyrf")
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.float64):  # the first call is proven outside it
        assert model(IDS)[0].isfinite().all()


def test_a_seed_and_a_place_decide_what_is_drawn() -> None:
    model, example, _ = made("timm ViT")
    drawn = []
    for seed in (0, 0, 1):
        regard.swap(model, "smyrf", example=example, cluster_size=4, seed=seed)
        drawn.append(model(IMAGE))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])

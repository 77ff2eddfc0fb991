"""A mechanism in the place of torch's own attention: the same results in the exact limit, the same weights, one clear error otherwise."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regard
from regard.adapters.torch_modules import MixedAttention
from regard.mechanisms.local import naive_local
from regard.mechanisms.softmax import SoftmaxAttention
from regard.observers import Observation
from regard.registry import UnsupportedPattern, mechanism, mechanism_class
from tests.regard.vectors import draw

W, HEADS, N = 16, 4, 9
PADDED = torch.zeros(2, N, dtype=torch.bool)
PADDED[1, 6:] = True
CAUSAL = nn.Transformer.generate_square_subsequent_mask(N)


def attention(**options: Any) -> nn.MultiheadAttention:
    torch.manual_seed(0)
    module = nn.MultiheadAttention(W, HEADS, **{"batch_first": True, **options}).eval()
    for parameter in module.parameters():  # biases start at 0: a lost one would not be seen
        nn.init.normal_(parameter, std=0.3)
    return module


def encoder(**options: Any) -> nn.TransformerEncoder:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(W, HEADS, 32, dropout=0.0, **{"batch_first": True, **options})
    nested = options.get("batch_first", True) and not options.get("norm_first", False)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=nested).eval()


def x(*shape: int, seed: int = 0) -> Tensor:
    return draw(*(shape or (2, N, W)), seed=seed, dtype=torch.float32)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [{}, {"bias": False}, {"batch_first": False}, {"kdim": 6, "vdim": 10}, {"kdim": 6, "vdim": 10, "bias": False}],
)
@pytest.mark.parametrize("padded", [False, True])
def test_one_cluster_is_the_original(options: dict[str, Any], padded: bool) -> None:
    original = attention(**options)
    replaced = copy.deepcopy(original)
    pattern: Any = (
        "noncausal_cross" if options else None
    )  # which no mask tells apart from cross attention of a causal target
    assert regard.replace_attention(replaced, "smyrf", pattern=pattern, cluster_size=N) == [""]
    kdim, vdim = options.get("kdim", W), options.get("vdim", W)
    inputs = (x(seed=0), x(2, N, kdim, seed=1), x(2, N, vdim, seed=2))
    if not options:
        inputs = (inputs[0],) * 3  # self attention
    if options.get("batch_first") is False:
        inputs = tuple(t.transpose(0, 1) for t in inputs)  # type: ignore[assignment]
    mask = PADDED if padded else None
    expected, weights = original(*inputs, key_padding_mask=mask)
    out, found = replaced(*inputs, key_padding_mask=mask)
    seen = ~PADDED if padded and not options else torch.ones_like(PADDED)  # SMYRF leaves out masked queries
    rows = seen if options.get("batch_first", True) else seen.T
    close(out[rows], expected[rows])
    close(found[seen], weights[seen])


@pytest.mark.parametrize("average", [True, False])
def test_unbatched_input_and_the_shapes_of_the_weights(average: bool) -> None:
    original = attention(batch_first=False)
    replaced = copy.deepcopy(original)
    regard.replace_attention(replaced, "softmax")
    for inputs, mask in ((x(N, W), PADDED[1]), (x(N, 2, W), PADDED)):
        options = {"key_padding_mask": mask, "average_attn_weights": average}
        expected, found = original(inputs, inputs, inputs, **options), replaced(inputs, inputs, inputs, **options)
        assert found[1].shape == expected[1].shape
        close(found[0], expected[0])
        close(found[1], expected[1])
        assert replaced(inputs, inputs, inputs, need_weights=False)[1] is None


@pytest.mark.parametrize("mask", [CAUSAL, CAUSAL < 0, CAUSAL.masked_fill(CAUSAL < 0, torch.finfo(torch.float32).min)])
def test_the_causal_mask_asks_for_the_causal_pattern(mask: Tensor) -> None:
    original = attention()
    replaced = copy.deepcopy(original)
    regard.replace_attention(replaced, "softmax")
    inputs = (x(),) * 3
    close(replaced(*inputs, attn_mask=mask)[0], original(*inputs, attn_mask=mask)[0])
    close(
        replaced(*inputs, attn_mask=mask, is_causal=True, need_weights=False)[0],
        original(*inputs, attn_mask=mask, is_causal=True, need_weights=False)[0],
    )
    nothing = torch.zeros_like(mask)
    close(replaced(*inputs, attn_mask=nothing)[0], original(*inputs)[0])


@pytest.mark.parametrize("options", [{}, {"batch_first": False}, {"norm_first": True}])
@pytest.mark.parametrize("grad", [True, False])
@pytest.mark.parametrize("masks", ["none", "padding", "causal"])
def test_encoders_of_torch(options: dict[str, Any], grad: bool, masks: str) -> None:
    """Without gradients torch takes its fused layer and nested tensors, which would pass the mechanism by."""
    original = encoder(**options)
    replaced = copy.deepcopy(original)
    names = regard.replace_attention(
        replaced, "softmax" if masks == "causal" else "smyrf", **({} if masks == "causal" else {"cluster_size": N})
    )
    assert names == ["layers.0.self_attn", "layers.1.self_attn"]
    seen: list[Observation] = []
    given: dict[str, Any] = {
        "none": {},
        "padding": {"src_key_padding_mask": PADDED},
        "causal": {"mask": CAUSAL, "is_causal": True},
    }[masks]
    inputs = x() if options.get("batch_first", True) else x().transpose(0, 1)
    with torch.set_grad_enabled(grad), regard.observe(replaced, seen.append):
        expected, out = original(inputs, **given), replaced(inputs, **given)
    assert len(seen) == 2
    rows = ~PADDED if masks == "padding" else torch.ones_like(PADDED)
    rows = rows if options.get("batch_first", True) else rows.T
    close(out[rows], expected[rows])


def test_a_mechanism_that_is_not_softmax_is_really_run() -> None:
    module = attention()
    regard.replace_attention(module, "local", window=2)
    inputs = x()
    out = module(inputs, inputs, inputs, key_padding_mask=PADDED, need_weights=False)[0]
    q, k, v = (
        part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for part in (inputs @ module.in_proj_weight.T + module.in_proj_bias).chunk(3, -1)
    )
    mixed = naive_local(q, k, v, window=2, key_mask=~PADDED).transpose(1, 2).flatten(2)
    close(out, module.out_proj(mixed))


def test_weights_are_the_same_parameters_and_the_state_dict_keeps_their_names() -> None:
    module = encoder()
    before = dict(module.named_parameters())
    names = set(module.state_dict())
    regard.replace_attention(module, "smyrf", cluster_size=4, seed=3)
    assert {name: id(p) for name, p in module.named_parameters()} == {name: id(p) for name, p in before.items()}
    self_patterns = [pattern for pattern in mechanism_class("smyrf").patterns if pattern.endswith("self")]
    drawn = {f"layers.{i}.self_attn.{pattern}.directions" for i in (0, 1) for pattern in self_patterns}
    assert set(module.state_dict()) == names | drawn

    again = encoder()
    regard.replace_attention(again, "smyrf", cluster_size=4, seed=3)
    assert all(
        torch.equal(a, b) for a, b in zip(module.state_dict().values(), again.state_dict().values(), strict=True)
    )
    first, second = (module.layers[i].self_attn.noncausal_self.directions for i in (0, 1))
    assert not torch.equal(first, second)

    other = encoder()
    regard.replace_attention(other, "smyrf", cluster_size=4, seed=4)
    assert not torch.equal(other(x()), module(x()))
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x()), module(x()))


def test_the_random_state_of_the_caller_is_left_alone() -> None:
    module = encoder()
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    regard.replace_attention(module, "performer")
    assert torch.equal(torch.rand(3), expected)


def test_gradients_reach_every_weight_as_in_the_original() -> None:
    original = encoder().train()
    replaced = copy.deepcopy(original)
    regard.replace_attention(replaced, "smyrf", cluster_size=N)
    assert replaced.layers[0].self_attn.noncausal_self.training
    evaluated = encoder()
    regard.replace_attention(evaluated, "probsparse")  # draws anew in training
    assert not any(part.training for part in evaluated.modules())
    for module in (original, replaced):
        module(x(), src_key_padding_mask=PADDED)[~PADDED].square().sum().backward()
    for (name, a), b in zip(original.named_parameters(), replaced.parameters(), strict=True):
        assert a.grad is not None
        assert b.grad is not None
        torch.testing.assert_close(b.grad, a.grad, rtol=1e-4, atol=1e-5, msg=lambda text, name=name: f"{name}: {text}")


def test_copies_and_saved_modules_run_on_their_own() -> None:
    module = encoder()
    regard.replace_attention(module, "smyrf", cluster_size=3)
    copied = copy.deepcopy(module)
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    for twin in (copied, loaded):
        assert torch.equal(twin(x()), module(x()))
        assert isinstance(twin.layers[0].self_attn, MixedAttention)
    with torch.no_grad():
        copied.layers[0].self_attn.in_proj_weight.zero_()
    assert not torch.equal(copied(x()), module(x()))


def test_compiled() -> None:
    module = encoder()
    regard.replace_attention(module, "softmax")
    compiled = torch.compile(module.layers[0].self_attn, fullgraph=True, backend="aot_eager")
    inputs = x()
    close(
        compiled(inputs, inputs, inputs, need_weights=False)[0], module.layers[0].self_attn(inputs, inputs, inputs)[0]
    )


def test_only_some_and_another_one_later() -> None:
    module = encoder()
    original = copy.deepcopy(module)
    assert regard.replace_attention(module, "smyrf", only=["layers.1.self_attn"], cluster_size=3) == [
        "layers.1.self_attn"
    ]
    assert type(module.layers[0].self_attn) is nn.MultiheadAttention
    with torch.no_grad():  # the first layer is torch's own and would hand nested tensors on
        assert not torch.allclose(module(x(), src_key_padding_mask=PADDED), original(x(), src_key_padding_mask=PADDED))
    assert len(regard.replace_attention(module, "softmax")) == 2
    assert set(module.state_dict()) == set(original.state_dict())
    close(module(x()), original(x()))
    regard.replace_attention(module, "nystrom")
    with pytest.raises(UnsupportedPattern, match="'nystrom' for the pattern 'causal_self'"):  # softmax had it
        module(x(), mask=CAUSAL)


def test_decoders_cross_and_causal() -> None:
    torch.manual_seed(0)
    original = nn.TransformerDecoder(nn.TransformerDecoderLayer(W, HEADS, 32, dropout=0.0, batch_first=True), 2).eval()
    replaced = copy.deepcopy(original)
    assert len(regard.replace_attention(replaced, "softmax")) == 4
    target, memory = x(2, N, W, seed=0), x(2, 5, W, seed=1)
    given = {"tgt_mask": CAUSAL, "memory_key_padding_mask": PADDED[:, 4:]}
    close(replaced(target, memory, **given), original(target, memory, **given))
    memory = x(2, N, W, seed=2)  # as long as the target, and padded where it is not
    given = {"tgt_mask": CAUSAL, "memory_key_padding_mask": PADDED}
    close(replaced(target, memory, **given), original(target, memory, **given))


def test_a_triangle_that_is_not_square_is_no_causal_mask() -> None:
    module = attention()
    regard.replace_attention(module, "softmax")
    mask = torch.ones(N, 5, dtype=torch.bool).triu(1)
    with pytest.raises(ValueError, match=r"attn_mask \(9, 5\) for n = 9 queries and m = 5 keys is not the causal mask"):
        module(x(), x(2, 5, W), x(2, 5, W), attn_mask=mask)


@pytest.mark.usefixtures("own_registry")
def test_options_that_exclude_a_pattern_leave_the_others() -> None:
    @mechanism("picky", patterns=("noncausal_self", "causal_self"), paper="none")
    class Picky(SoftmaxAttention):
        def __init__(self, *, both: bool, **sizes: Any) -> None:
            super().__init__(**sizes)
            if self.causal and not both:
                raise ValueError("not causal")

    inputs = x()
    for both in (True, False):
        module = attention()
        regard.replace_attention(module, "picky", both=both)
        assert ("causal_self" in dict(module.named_children())) is both
        module(inputs, inputs, inputs, need_weights=False)
    with pytest.raises(ValueError, match="not causal"):
        regard.replace_attention(attention(), "picky", both=False, pattern="causal_self")


def test_a_mechanism_with_parameters_needs_its_pattern() -> None:
    module = encoder()
    with pytest.raises(
        ValueError, match="'abc' has parameters of its own, for one pattern: say pattern='noncausal_self'"
    ):
        regard.replace_attention(module, "abc")
    assert type(module.layers[0].self_attn) is nn.MultiheadAttention
    regard.replace_attention(module, "longshort", pattern="causal_self")
    assert module(x(), mask=CAUSAL).shape == (2, N, W)
    with pytest.raises(
        UnsupportedPattern, match="'longshort' for the pattern 'noncausal_self'; its replacement has causal_self"
    ):
        module(x())


@pytest.mark.parametrize(
    ("make", "arguments", "error", "message"),
    [
        (lambda: nn.Linear(2, 2), {}, ValueError, "Linear holds no torch.nn.MultiheadAttention to replace"),
        (attention, {"mechanism": "smurf"}, ValueError, "Did you mean 'smyrf'"),
        (attention, {"mechanism": "super"}, ValueError, "'super' has no key and no value map: trained weights would be lost"),
        (attention, {"mechanism": "optimised"}, ValueError, "'optimised' has no value map"),
        (attention, {"only": ["encoder"]}, ValueError, "no nn.MultiheadAttention is named encoder"),
        (attention, {"pattern": "causal_cross"}, UnsupportedPattern, "'smyrf' cannot .* with the pattern 'causal_cross'"),
        (attention, {"cluster_size": 0}, ValueError, "cluster_size must be at least 1, got 0"),
        (attention, {"window": 2}, TypeError, "window"),
        (lambda: attention(add_bias_kv=True), {}, ValueError, "adds keys of its own"),
        (lambda: attention(add_zero_attn=True), {}, ValueError, "adds keys of its own"),
        (lambda: type("Mine", (nn.MultiheadAttention,), {})(W, HEADS), {}, ValueError, "Mine.* is a subclass"),
    ],
)  # fmt: skip
def test_what_cannot_be_replaced(make: Any, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    module = make()
    before = type(module)
    with pytest.raises(error, match=message):
        regard.replace_attention(module, **{"mechanism": "smyrf", **arguments})
    assert type(module) is before


@pytest.mark.parametrize(
    ("mechanism", "given", "error", "message"),
    [
        ("nystrom", {"attn_mask": CAUSAL, "need_weights": False}, UnsupportedPattern, "asks 'nystrom' for the pattern 'causal_self'"),
        ("softmax", {"attn_mask": CAUSAL.T}, ValueError, r"attn_mask \(9, 9\) for n = 9 queries and m = 9 keys is not the causal mask"),
        ("softmax", {"attn_mask": CAUSAL.expand(2 * HEADS, N, N)}, ValueError, r"attn_mask \(8, 9, 9\)"),
        ("softmax", {"attn_mask": CAUSAL * 0 + 0.5}, ValueError, "attn_mask adds to the scores"),
        ("softmax", {"attn_mask": torch.ones(N, N, dtype=torch.int)}, TypeError, "attn_mask must be boolean"),
        ("softmax", {"key_padding_mask": PADDED[:, 1:]}, ValueError, r"key_padding_mask must be .* = \(2, 9\), got \(2, 8\)"),
        ("softmax", {"key_padding_mask": torch.full((2, N), -1.0)}, ValueError, "key_padding_mask adds to the scores"),
        ("nystrom", {}, ValueError, "'nystrom' has no attention weights: call with need_weights=False"),
    ],
)  # fmt: skip
def test_calls_that_no_mechanism_takes(
    mechanism: str, given: dict[str, Any], error: type[Exception], message: str
) -> None:
    module = attention()
    regard.replace_attention(module, mechanism)
    inputs = x()
    with pytest.raises(error, match=message):
        module(inputs, inputs, inputs, **given)


def test_a_causal_target_is_not_shown_its_future_through_cross_attention() -> None:
    torch.manual_seed(0)
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(W, HEADS, 32, dropout=0.0, batch_first=True), 2).eval()
    whole = nn.Transformer(W, HEADS, 1, 1, 32, dropout=0.0, batch_first=True).eval()
    target, memory = x(2, N, W, seed=0), x(2, N + 3, W, seed=1)
    other = torch.cat((target[:, :5], x(2, N - 5, W, seed=2)), 1)
    for name in ("smyrf", "cosformer"):
        for model, call in (
            (decoder, lambda m, t: m(t, memory, tgt_mask=CAUSAL)),
            (whole, lambda m, t: m(memory, t, tgt_mask=CAUSAL)),
        ):
            replaced = copy.deepcopy(model)
            regard.replace_attention(replaced, name, **({"cluster_size": 4} if name == "smyrf" else {}))
            with pytest.raises(
                UnsupportedPattern,
                match=r"pattern 'causal_cross'; .*later ones would change earlier ones.*pattern='noncausal_cross'",
            ):
                call(replaced, target)
    for name in ("softmax", "performer"):
        replaced = copy.deepcopy(decoder)
        regard.replace_attention(replaced, name)
        with torch.no_grad():
            assert torch.equal(
                replaced(target, memory, tgt_mask=CAUSAL)[:, :5], replaced(other, memory, tgt_mask=CAUSAL)[:, :5]
            )


@pytest.mark.parametrize("name", ["smyrf", "nystrom", "cosformer"])
def test_self_attention_of_two_tensors_is_asked_about(name: str) -> None:
    """attn(norm(x), norm(x), …): one sequence, two tensors."""
    module = attention()
    options = {"smyrf": {"cluster_size": 3}, "nystrom": {"landmarks": 3}}.get(name, {})
    regard.replace_attention(module, name, **options)
    a = x()
    given: dict[str, Any] = {"key_padding_mask": PADDED, "need_weights": False}
    with pytest.raises(
        ValueError, match=r"attn\(norm\(x\), norm\(x\), …\), or cross attention\?.*self_attention=True or False"
    ):
        module(a, a.clone(), a.clone(), **given)
    expected = module(a, a, a, **given)[0]
    regard.replace_attention(module, name, self_attention=True, **options)
    found = module(a, a.clone(), a.clone(), **given)[0]
    torch.testing.assert_close(found[~PADDED], expected[~PADDED])
    dirty = a.masked_fill(PADDED[:, :, None], 9.0)
    assert torch.equal(
        module(dirty, dirty.clone(), dirty.clone(), **given)[0][~PADDED], found[~PADDED]
    )  # was 6.2 apart
    alone = a[1:, :6]
    close(module(alone, alone.clone(), alone.clone(), need_weights=False)[0], found[1:, :6])


def test_dropout_in_training_is_an_error() -> None:
    module = attention(dropout=0.5)
    regard.replace_attention(module, "smyrf")
    module.train()
    a = x()
    with pytest.raises(ValueError, match=r"no dropout of attention weights, and this module asks for 0\.5"):
        module(a, a, a, need_weights=False)
    module.dropout = 0.0
    assert module(a, a, a, need_weights=False)[0].shape == a.shape


def test_nested_tensors_are_refused() -> None:
    module = encoder()
    regard.replace_attention(module.layers[1], "smyrf", cluster_size=3)  # the encoder does not know
    with (
        torch.no_grad(),
        pytest.raises(ValueError, match=r"call replace_attention on the whole nn\.TransformerEncoder"),
    ):
        module(x(), src_key_padding_mask=PADDED)

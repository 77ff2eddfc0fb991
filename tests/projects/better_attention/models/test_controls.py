"""The controls: each is the layer that it says it is, by certification against its plain reference and by hand; and the trap of padding."""

import math

import pytest
import torch

from projects.better_attention.models.controls import CONTROLS, OrthogonalAttention, SuperUnmasked, inner_width
from projects.better_attention.models.layers import attention_class
from regard.certification import certify
from regard.mechanisms.super import SuperAttention
from regard.registry import build

SIZES = {"width": 12, "heads": 3}
LENGTH = 7


def layer_of(name: str, **sizes: int) -> torch.nn.Module:
    torch.manual_seed(0)
    length = {} if name in ("softmax", "efficient", "orthogonal", "softmax_over_queries") else {"length": LENGTH}
    layer = attention_class(name)(**(SIZES | sizes), **length).double()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # biases that are not zero
    return layer


def tokens(seed: int = 1) -> torch.Tensor:
    return torch.randn(2, LENGTH, SIZES["width"], dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", [name for name in CONTROLS if name not in ("super_unmasked", "none")])
def test_a_control_is_certified(name):
    """Against its plain reference, with every kind of padding, its parameters counted; all but compilation, which takes long."""
    properties = ["shape and dtype", "batch independence", "padding", "mixing", "gradients", "determinism"]
    properties += ["state dict", "lengths", "parameter formula", "half precision"]
    outcomes = certify(CONTROLS[name], properties=properties)
    assert [outcome.property for outcome in outcomes if outcome.passed] == properties


def test_no_attention_gives_nothing_and_has_no_parameters():
    layer = CONTROLS["none"](width=8, heads=2)
    assert layer(torch.randn(2, 5, 8)).equal(torch.zeros(2, 5, 8))
    assert sum(p.numel() for p in layer.parameters()) == layer.parameter_count() == 0


def test_the_trap_fails_certification_by_its_padding_alone():
    failed = {
        o.property for o in certify(SuperUnmasked, properties=["padding", "mixing", "determinism"]) if not o.passed
    }
    assert failed == {"padding"}


def test_unmasked_is_super_without_padding_and_another_with_it():
    trap, layer = layer_of("super_unmasked"), layer_of("super")
    x = tokens()
    assert torch.equal(trap(x), layer(x))
    mask = torch.ones(2, LENGTH, dtype=torch.bool)
    mask[1, 4:] = False
    padded, alone = trap(x, x_mask=mask)[1, :4], trap(x[1:, :4])[0]
    assert (padded - alone).abs().max() > 0.01
    torch.testing.assert_close(layer(x, x_mask=mask)[1, :4], layer(x[1:, :4])[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("width", "heads", "length"), [(32, 4, 32), (64, 4, 16), (64, 4, 49), (12, 3, 7)])
def test_narrow_is_as_large_as_super(width, heads, length):
    sizes = {"width": width, "heads": heads, "length": length}
    narrow, wanted = CONTROLS["softmax_narrow"](**sizes), SuperAttention.parameter_count(**sizes)
    count = sum(parameter.numel() for parameter in narrow.parameters())
    step = heads * (4 * width + 3)  # what one more column in every head costs
    assert abs(count - wanted) <= step / 2
    assert narrow(torch.randn(1, length, width)).shape == (1, length, width)
    assert inner_width(width, heads, length, bias=True) % heads == 0


def test_narrow_by_hand():
    """Width 32, 4 heads, 32 words: 24 columns give 4 · 32 · 24 + 3 · 24 + 32 = 3,176, where Super has 3,168."""
    assert inner_width(32, 4, 32, bias=True) == 24
    layer = CONTROLS["softmax_narrow"](width=32, heads=4, length=32)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 3176


def test_mixed_with_the_identity_is_standard():
    mixed, standard = layer_of("softmax_mixed"), layer_of("softmax")
    state = standard.state_dict() | {"mixing.weight": torch.eye(LENGTH), "mixing.bias": torch.zeros(LENGTH)}
    mixed.load_state_dict(state)
    torch.testing.assert_close(mixed(tokens()), standard(tokens()), rtol=0, atol=1e-12)


def test_uniform_and_mixer_by_hand():
    """One head of width 1 over two tokens: W^A V + β = (2·1 + 3·10 + 0.5, 4·1 + 5·10 − 0.5) = (32.5, 53.5), their mean 43."""
    x = torch.tensor([[[1.0], [10.0]]], dtype=torch.float64)
    for name, expected in (("mixer", [32.5, 53.5]), ("uniform_mixed", [43.0, 43.0])):
        layer = CONTROLS[name](width=1, heads=1, length=2).double()
        state = {"mixing.weight": [[2.0, 3.0], [4.0, 5.0]], "mixing.bias": [0.5, -0.5]}
        state |= {"output.weight": [[1.0]], "output.bias": [0.0]}
        layer.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
        assert layer(x).flatten().tolist() == expected
    keep = torch.tensor([[True, False]])
    assert layer(x, x_mask=keep)[0, 0].tolist() == [2.5]  # the mean over the one real token, 2 · 1 + 0.5


def test_identity_begins_as_efficient_and_ends_elsewhere():
    torch.manual_seed(0)
    layer, efficient = CONTROLS["super_identity"](**SIZES, length=LENGTH), build("efficient", **SIZES)
    efficient.load_state_dict({k: v for k, v in layer.state_dict().items() if not k.startswith("mixing")})
    x = tokens().float()
    torch.testing.assert_close(layer(x), efficient(x), rtol=0, atol=1e-6)
    layer(x).square().sum().backward()
    assert layer.mixing.weight.grad.abs().min() > 0


def test_rotations_are_orthogonal_fixed_and_absorbed_with_one_head():
    layer = layer_of("orthogonal", heads=1)
    key, value = layer.key.weight, layer.value.weight
    for rotation in (key, value):
        torch.testing.assert_close(rotation @ rotation.T, torch.eye(12, dtype=torch.float64), rtol=0, atol=1e-6)
    assert not torch.equal(key, value)
    assert {name for name, _ in layer.named_parameters()} == {
        "query.weight",
        "query.bias",
        "output.weight",
        "output.bias",
    }
    efficient = build("efficient", width=12, heads=1).double()
    state = dict(layer.state_dict())
    state["query.weight"] = key @ state["query.weight"]  # (x W^Q) (x R_K)ᵀ = (x W^Q R_Kᵀ) xᵀ
    state["query.bias"] = key @ state["query.bias"]
    state["output.weight"] = state["output.weight"] @ value.T
    efficient.load_state_dict({name: tensor for name, tensor in state.items() if name.split(".")[0] in efficient.maps})
    torch.testing.assert_close(layer(tokens()), efficient(tokens()), rtol=0, atol=1e-10)
    several = layer_of("orthogonal")
    assert isinstance(several, OrthogonalAttention)
    assert (several(tokens()) - layer(tokens())).abs().max() > 0.01


def test_per_head_with_one_matrix_everywhere_is_super():
    layer, shared = layer_of("super_per_head"), layer_of("super")
    state = {name: value for name, value in shared.state_dict().items() if not name.startswith("mixing")}
    state["mixing_weight"] = shared.mixing.weight.expand(3, -1, -1)
    state["mixing_bias"] = shared.mixing.bias.expand(3, -1)
    layer.load_state_dict(state)
    torch.testing.assert_close(layer(tokens()), shared(tokens()), rtol=0, atol=1e-12)
    with torch.no_grad():
        layer.mixing_weight[1] += 1
    assert (layer(tokens()) - shared(tokens())).abs().max() > 0.01
    with pytest.raises(ValueError, match="length 7 cannot take 8 tokens: build it with length=8"):
        layer(torch.zeros(1, 8, 12, dtype=torch.float64))


def test_over_queries_by_hand():
    """Two tokens of width 1 with scores x_i x_j: the weights of each key, a column, sum to 1, those of a query, a row, do not."""
    x = torch.tensor([[[0.0], [math.log(2)]]], dtype=torch.float64)
    layer = CONTROLS["softmax_over_queries"](width=1, heads=1).double()
    one, zero = torch.ones(1, 1), torch.zeros(1)
    layer.load_state_dict(
        {
            f"{name}.{part}": value
            for name in ("query", "key", "value", "output")
            for part, value in (("weight", one), ("bias", zero))
        }
    )
    third = 2 ** math.log(2)  # exp(log 2 · log 2)
    expected = [math.log(2) / (1 + third), math.log(2) * third / (1 + third)]  # the first token's value is 0
    torch.testing.assert_close(layer(x).flatten(), torch.tensor(expected, dtype=torch.float64))
    keep = torch.tensor([[True, False]])
    assert layer(x + 1, x_mask=keep)[0, 0].tolist() == [1.0]  # alone it keeps its own value


def test_the_flops_of_a_narrow_layer_are_not_counted_by_formula():
    with pytest.raises(NotImplementedError, match="width × width"):
        CONTROLS["softmax_narrow"].mix_flops()

"""Observers: what they hand out is what the mechanism did, and nothing changes by their being there."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import regard
from regard.attention import claimed
from regard.mechanisms.smyrf import SmyrfAttention, naive_smyrf
from regard.mechanisms.smyrf.hashing import SCHEMES
from regard.mechanisms.softmax import SoftmaxAttention
from regard.observers import Observation, _watchers
from regard.registry import mechanism_class
from tests.regard.vectors import draw

W, HEADS, N = 12, 3, 10
MASK = torch.ones(2, N, dtype=torch.bool)
MASK[1, 7:] = False
OPTIONS: dict[str, dict[str, Any]] = {
    "local": {"window": 2},
    "smyrf": {"rounds": 2, "cluster_size": 4},
    "super": {"length": N},
}


def x(seed: int = 0) -> Tensor:
    return draw(2, N, W, seed=seed, dtype=torch.float32)


def layer_of(name: str, **options: Any) -> Any:
    torch.manual_seed(0)
    return regard.build(
        name, width=W, heads=HEADS, **{**OPTIONS.get(name, mechanism_class(name).example), **options}
    ).eval()


def observed(module: nn.Module, *inputs: Tensor, **given: Any) -> list[Observation]:
    seen: list[Observation] = []
    with regard.observe(module, seen.append):
        module(*inputs, **given)
    return seen


@pytest.mark.parametrize("name", regard.list_mechanisms())
def test_the_result_is_the_same(name: str) -> None:
    layer = layer_of(name)
    expected = layer(x(), x_mask=MASK)
    seen: list[Observation] = []
    with regard.observe(layer, seen.append):
        found = layer(x(), x_mask=MASK)
    if name == "linformer":  # unobserved it never makes the keys that an observer sees, and sums in another order
        torch.testing.assert_close(found, expected)
    else:
        assert torch.equal(found, expected)
    assert torch.equal(layer(x(), x_mask=MASK), expected)
    assert [(one.name, one.mechanism) for one in seen] == [("", name)]
    mixed = layer.output(seen[0].output.transpose(1, 2).flatten(2)) if name != "s4d" else found
    torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        (name, pattern)
        for name in regard.list_mechanisms()
        if claimed(mechanism_class(name), "weighted_mean")
        for pattern in ("noncausal_self", "causal_self")
        if pattern in mechanism_class(name).patterns
    ],
)
@pytest.mark.parametrize("mask", [None, MASK])
def test_probabilities_times_values_is_the_output(name: str, pattern: str, mask: Tensor | None) -> None:
    (seen,) = observed(layer_of(name, pattern=pattern), x(), x_mask=mask)
    weights = seen.probabilities
    assert weights.shape == (2, HEADS, N, N)
    assert weights is seen.probabilities
    torch.testing.assert_close(weights @ seen.values, seen.output)
    assert weights.min() >= 0
    rows = torch.ones(2, N, dtype=torch.bool) if mask is None else mask
    torch.testing.assert_close(weights.sum(-1).transpose(1, 2)[rows], torch.ones(int(rows.sum()), HEADS))
    if mask is not None:
        assert weights[1, :, :, 7:].abs().max() == 0
    if pattern == "causal_self":
        assert weights.triu(1).abs().max() == 0


def test_softmax_probabilities_and_super_values_by_their_formulas() -> None:
    (seen,) = observed(layer_of("super"), x())
    layer = layer_of("super")
    expected = (seen.q @ seen.k.mT / (W // HEADS) ** 0.5).softmax(-1)
    torch.testing.assert_close(seen.probabilities, expected)
    torch.testing.assert_close(seen.values, layer.mixing.weight @ seen.v + layer.mixing.bias[:, None])
    assert not torch.allclose(seen.values, seen.v)
    (plain,) = observed(layer_of("softmax"), x())
    assert plain.values is plain.v


def test_cross_attention_and_its_mask() -> None:
    layer = layer_of("smyrf", pattern="noncausal_cross")
    context = draw(2, 6, W, seed=1, dtype=torch.float32)
    keep = torch.tensor([[True] * 6, [True] * 4 + [False] * 2])
    (seen,) = observed(layer, x(), context, context_mask=keep)
    assert seen.key_mask is keep
    assert seen.probabilities.shape == (2, HEADS, N, 6)
    torch.testing.assert_close(seen.probabilities @ seen.v, seen.output)


def test_a_mechanism_without_weights_or_clusters_says_so() -> None:
    (seen,) = observed(layer_of("nystrom"), x())
    with pytest.raises(
        ValueError,
        match=r"'nystrom' is not a weighted mean of its values; those with weights are efficient, .*smyrf, softmax",
    ):
        _ = seen.probabilities
    with pytest.raises(ValueError, match="'nystrom' has no clusters"):
        _ = seen.clusters
    with pytest.raises(ValueError, match="'nystrom' has no clusters"):
        _ = seen.collisions


def test_another_mix_does_not_inherit_what_the_class_could_do() -> None:
    class Mean(SoftmaxAttention):
        def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
            return v.mean(2, keepdim=True).expand_as(v)

    class Renamed(SoftmaxAttention):
        pass

    assert not claimed(Mean, "weighted_mean")
    assert claimed(Mean, "function_options") is None
    assert claimed(Renamed, "weighted_mean")
    assert claimed(int, "stepwise") is False
    (seen,) = observed(Mean(width=W, heads=HEADS), x())
    with pytest.raises(ValueError, match="'softmax' is not a weighted mean"):
        _ = seen.probabilities


@pytest.mark.parametrize("mask", [None, MASK])
def test_clusters_are_those_of_the_definition(mask: Tensor | None) -> None:
    layer: SmyrfAttention = layer_of("smyrf")
    (seen,) = observed(layer, x(), x_mask=mask)
    clusters = seen.clusters
    assert clusters.queries.shape == clusters.keys.shape == (2, 2, HEADS, N)
    values = torch.eye(N).expand(2, HEADS, N, N)
    for met, drawn in zip(seen.collisions, layer.directions.split(1, -1), strict=True):
        masks = {"key_mask": mask, "query_mask": mask}
        weights = naive_smyrf(seen.q, seen.k, values, cluster_size=4, directions=drawn, scale=0.0, **masks)
        assert torch.equal(met, weights > 0)
    same = clusters.queries[..., :, None] == clusters.keys[..., None, :]
    assert torch.equal(same & (clusters.queries >= 0)[..., None], seen.collisions)
    assert clusters.keys[0, 0, 0].bincount().tolist() in [[4, 4, 2], [4, 2, 4], [2, 4, 4]]
    if mask is not None:
        assert (clusters.queries[:, 1, :, 7:] == -1).all()
        assert (clusters.keys[:, 1, :, 7:] == -1).all()
        assert (clusters.queries[:, 0] >= 0).all()


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_clusters_of_every_scheme(scheme: str, mask: Tensor | None) -> None:
    layer: SmyrfAttention = layer_of("smyrf", scheme=scheme, buckets=6, rounds=3)
    (seen,) = observed(layer, x(), x_mask=mask)
    values = torch.eye(N).expand(2, HEADS, N, N)
    for met, drawn in zip(seen.collisions, layer.directions.chunk(3, -1), strict=True):
        options: dict[str, Any] = {"cluster_size": 4, "scheme": scheme, "buckets": 6, "scale": 0.0}
        masks = {"key_mask": mask, "query_mask": mask}
        assert torch.equal(met, naive_smyrf(seen.q, seen.k, values, directions=drawn, **options, **masks) > 0)
    same = seen.clusters.queries[..., :, None] == seen.clusters.keys[..., None, :]
    assert torch.equal(same & (seen.clusters.queries >= 0)[..., None], seen.collisions)


def test_clusters_that_share_their_only_key_are_one() -> None:
    layer = layer_of("smyrf", pattern="noncausal_cross", rounds=1, cluster_size=2, key_cluster_size=1)
    (seen,) = observed(layer, x(), draw(2, 3, W, seed=1, dtype=torch.float32))
    assert seen.clusters.keys[0, 0, 0].tolist() == [0, 1, 2]
    assert sorted(seen.clusters.queries[0, 0, 0].bincount().tolist()) == [
        2,
        4,
        4,
    ]  # five clusters of two queries, three keys


def test_clusters_of_scores_far_apart() -> None:
    layer = layer_of("smyrf", cluster_size=N)
    (seen,) = observed(layer, 1e3 * x())
    assert (seen.probabilities == 0).any()
    assert seen.collisions.all()


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({"first": layer_of("softmax"), "second": layer_of("local")})

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers.values():
            x = layer(x)
        return x


def test_names_and_order_inside_a_model() -> None:
    seen = observed(Two(), x())
    assert [(one.name, one.mechanism) for one in seen] == [("layers.first", "softmax"), ("layers.second", "local")]
    assert seen[0].layer is not None


def test_observers_nest_and_are_removed_in_any_order() -> None:
    model = Two()
    calls: list[str] = []
    outer = regard.observe(model, lambda seen: calls.append("outer " + seen.name))
    inner = regard.observe(model.layers["first"], lambda seen: calls.append("inner " + seen.name))
    model(x())
    assert calls == ["outer layers.first", "inner ", "outer layers.second"]
    calls.clear()
    outer.remove()
    outer.remove()
    model(x())
    assert calls == ["inner "]
    inner.remove()
    model(x())
    assert calls == ["inner "]


def test_nothing_is_left_behind() -> None:
    model = Two()
    before = {name: dict(vars(module)) for name, module in model.named_modules()}
    state = copy.deepcopy(model.state_dict())
    with regard.observe(model, lambda seen: None):
        assert "mix" in vars(model.layers["first"])
        assert set(model.state_dict()) == set(state)
    assert {name: vars(module) for name, module in model.named_modules()} == before
    assert len(_watchers) == 0


def test_an_error_in_the_model_or_the_callback_ends_the_watch_too() -> None:
    model = Two()
    with pytest.raises(ValueError, match="x must be"), regard.observe(model, lambda seen: None):
        model(torch.zeros(1, 2, 5))

    def fail(seen: Observation) -> None:
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"), regard.observe(model, fail):
        model(x())
    assert len(_watchers) == 0
    assert model(x()).shape == (2, N, W)


def test_a_copy_made_meanwhile_is_its_own() -> None:
    model = Two()
    seen: list[Observation] = []
    with regard.observe(model, seen.append):
        copied = copy.deepcopy(model)
        file = io.BytesIO()
        torch.save(copied, file)
        with torch.no_grad():
            copied.layers["first"].value.weight.zero_()
        assert not torch.equal(copied(x()), model(x()))
        assert len(seen) == 2


def test_gradients_pass_and_the_observed_tensors_are_part_of_the_graph() -> None:
    layer = layer_of("softmax")
    seen: list[Observation] = []
    with regard.observe(layer, seen.append):
        out = layer(x())
    entropy = -(seen[0].probabilities.clamp(min=1e-9).log() * seen[0].probabilities).sum()
    (out.sum() + entropy).backward()
    assert layer.query.weight.grad.abs().max() > 0


def test_causal_smyrf_tells_who_is_seen_but_has_no_clusters() -> None:
    if "causal_self" not in mechanism_class("smyrf").patterns:
        pytest.skip("smyrf has no causal_self")
    (seen,) = observed(layer_of("smyrf", pattern="causal_self"), x(), x_mask=MASK)
    assert torch.equal(seen.collisions.any(0), seen.probabilities > 0)
    with pytest.raises(ValueError, match="the clusters of causal smyrf overlap"):
        _ = seen.clusters


def test_a_layer_that_redraws_in_training_has_no_weights_then() -> None:
    layer = layer_of("smyrf")
    layer.redraw = True
    assert observed(layer, x())[0].clusters.queries.shape == (2, 2, HEADS, N)
    (seen,) = observed(layer.train(), x())
    for read in ("probabilities", "clusters"):
        with pytest.raises(ValueError, match="draws anew at every call in training"):
            getattr(seen, read)


def test_nothing_to_observe() -> None:
    with pytest.raises(ValueError, match="Linear holds no attention of Regard"):
        regard.observe(nn.Linear(2, 2), lambda seen: None)


def test_replaced_attention_is_observed_under_its_name_and_pattern() -> None:
    model = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(W, HEADS, 8, batch_first=True), 1, enable_nested_tensor=False
    ).eval()
    regard.replace_attention(model, "smyrf", cluster_size=4)
    (seen,) = observed(model, x(), src_key_padding_mask=~MASK)
    assert (seen.name, seen.mechanism) == ("layers.0.self_attn.noncausal_self", "smyrf")
    assert seen.key_mask is not None
    assert torch.equal(seen.key_mask, MASK)
    torch.testing.assert_close(seen.probabilities @ seen.v, seen.output)

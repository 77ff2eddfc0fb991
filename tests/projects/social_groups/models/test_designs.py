"""Designs of the queries and of self attention: what they cost, what they let tokens see, where they must fail."""

from typing import get_args

import pytest
import torch
from einops import rearrange

from projects.social_groups.config import Camera, Data, Detector, Model, QueryDesign
from projects.social_groups.models.decoder_attention import DESIGNS, SelfAttention, pairs
from projects.social_groups.models.network import SocialGroups
from projects.social_groups.models.queries import Queries
from projects.social_groups.models.transformer import Decoder, Encoder

QUERIES = get_args(QueryDesign)
B, G, M, W = 2, 3, 4, 8


def build(design: str, **options) -> SelfAttention:
    torch.manual_seed(0)
    return SelfAttention(design, width=W, heads=2, dropout=0.0, **options).eval()


def model_of(**changes) -> Model:
    base = {
        "queries": "sum", "self_attention": "full", "mechanism": "softmax", "pool": "existing", "groups": G, "person_queries": 5,
        "width": 16, "heads": 2, "levels": 2, "points": 2, "encoder_layers": 1, "decoder_layers": 2, "feed_forward": 16, "dropout": 0.0,
    }  # fmt: skip
    return Model(**base | changes)


DATA = Data(
    "court",
    "package",
    activities=3,
    actions=2,
    members=M,
    grid=(4, 6),
    channels=5,
    noise=0.0,
    order="x",
    mirror=False,
    detector=Detector(),
    camera=Camera(zoom=0.0, pan=0.0),
)


@pytest.mark.parametrize(
    ("design", "parameters"),
    [("single", 2 * W * G), ("independent", 2 * W * G * M), ("location_only", 2 * W * G), ("layout_only", 2 * W * M),
     ("sum", 2 * W * (G + M)), ("split", W * (G + M)), ("mlp", 2 * W * (G + M) + 4 * W * 2 * W + 2 * W + 2 * W * 2 * W + 2 * W)],
)  # fmt: skip
def test_the_parameters_of_the_queries(design, parameters):
    queries = Queries(design, groups=G, members=M, width=W)
    assert sum(p.numel() for p in queries.parameters()) == parameters
    position, content = queries()
    assert position.shape == content.shape == (G, 1 if design == "single" else M, W)


def test_what_location_and_layout_mean():
    torch.manual_seed(0)
    halves = {design: Queries(design, groups=G, members=M, width=W)() for design in QUERIES}
    same_slots = lambda x: torch.equal(x, x[:, :1].expand_as(x))  # noqa: E731
    same_groups = lambda x: torch.equal(x, x[:1].expand_as(x))  # noqa: E731
    assert all(same_slots(half) for half in halves["location_only"])
    assert all(same_groups(half) for half in halves["layout_only"])
    position, content = halves["split"]
    assert same_slots(position)
    assert same_groups(content)
    for half in halves["sum"]:  # a sum: differences between slots are the same in every group
        assert torch.allclose(half[0, 0] - half[0, 1], half[2, 0] - half[2, 1], atol=1e-6)
    for half in halves["independent"]:
        assert not same_slots(half)
        assert not same_groups(half)


def test_pairs_by_hand():
    assert [pairs(design, 300, 12) for design in ("full", "inter_intra")] == [12_960_000, 1_123_200]
    found = {design: pairs(design, G, M) for design in DESIGNS}
    assert found == {
        "none": 0, "full": 144, "intra": 48, "inter": 36, "inter_intra": 84, "intra_inter": 84, "parallel": 84, "group_means": 57,
        "full_twice": 288,
    }  # fmt: skip


def masked(block, x: torch.Tensor, position: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """S8, the oracle: full attention with every pair that may not be seen taken out of the scores."""
    layer = block.attention
    flat, placed = (rearrange(part, "b g m w -> b (g m) w") for part in (x, x + position))
    q, k, v = (
        rearrange(linear(part), "b n (h d) -> b h n d", h=2)
        for linear, part in ((layer.query, placed), (layer.key, placed), (layer.value, flat))
    )
    weights = (q @ k.mT * q.shape[-1] ** -0.5).masked_fill(~seen, -torch.inf).softmax(-1)
    return layer.output(rearrange(weights @ v, "b h n d -> b n (h d)")).unflatten(1, (G, M))


@pytest.mark.parametrize("design", ["full", "intra", "inter"])
def test_divided_attention_is_masked_full_attention(design):
    block = build(design).blocks[0]
    x, position = torch.randn(2, B, G, M, W)
    group, slot = torch.arange(G).repeat_interleave(M), torch.arange(M).repeat(G)
    same = {"full": group[:, None] == group[:, None], "intra": group[:, None] == group, "inter": slot[:, None] == slot}[
        design
    ]
    expected = masked(block, x, position, same.expand(G * M, G * M))
    assert torch.allclose(block(x, position), expected, atol=1e-6)


def test_the_blocks_of_a_design_in_their_order():
    x, position = torch.randn(2, B, G, M, W)
    for design in ("inter_intra", "intra_inter", "parallel", "group_means"):
        module = build(design)
        assert [block.over for block in module.blocks] == list(DESIGNS[design])
    module = build("parallel")
    once = module.blocks[0](x, position) + module.blocks[1](x, position)
    assert torch.allclose(module(x, position), module.norms[0](x + once), atol=1e-6)
    module = build("inter_intra")
    middle = module.norms[0](x + module.blocks[0](x, position))
    assert torch.allclose(module(x, position), module.norms[1](middle + module.blocks[1](middle, position)), atol=1e-6)
    module = build("group_means")
    means = module.blocks[1](x, position)
    assert torch.equal(means, means[:, :, :1].expand_as(means))


@pytest.mark.parametrize("design", DESIGNS)
def test_who_sees_whom(design):
    """A change of token (0, 0) reaches exactly the tokens that the design's blocks let it reach."""
    module = build(design)
    x, position = torch.randn(2, 1, G, M, W)
    changed = x.clone()
    changed[0, 0, 0] += 1
    reached = (module(x, position) - module(changed, position)).abs().amax(-1)[0] > 1e-7
    group, slot = torch.arange(G)[:, None].expand(G, M), torch.arange(M)[None].expand(G, M)
    own, same_group, same_slot, every = (group + slot == 0), group == 0, slot == 0, group >= 0
    expected = {"none": own, "intra": same_group, "inter": same_slot, "parallel": same_group | same_slot}.get(
        design, every
    )
    assert torch.equal(reached, expected)


def test_other_mechanisms_of_the_library_fit():
    x, position = torch.randn(2, B, G, M, W)
    for mechanism in ("cosformer", "optimised", "s4d"):  # with all projections, without that of values, without any
        assert build("full", mechanism=mechanism)(x, position).shape == x.shape


@pytest.mark.parametrize("attention", ["full", "inter_intra"])
@pytest.mark.parametrize(("queries", "alike"), [("location_only", 3), ("layout_only", 2)])
def test_controls_cannot_tell_slots_or_groups_apart(queries, alike, attention):
    torch.manual_seed(0)
    model = SocialGroups(DATA, model_of(queries=queries, self_attention=attention)).eval()
    model.points[-1].weight.data.normal_()
    points = model(torch.randn(B, 5, 4, 6))[0].points
    first = points.select(alike, 0).unsqueeze(alike)
    assert torch.allclose(points, first.expand_as(points), atol=1e-5)
    assert not torch.allclose(*(points.select(5 - alike, number) for number in (0, 1)), atol=1e-3)


def test_another_order_of_groups_gives_the_same_in_that_order():
    torch.manual_seed(0)
    decoder = Decoder(model_of(self_attention="intra_inter")).eval()
    content, position, source = (
        torch.randn(G, M, 16),
        torch.randn(G, M, 16),
        [torch.randn(B, 16, 4, 6), torch.randn(B, 16, 2, 3)],
    )
    reference, order = torch.rand(G, M, 2), torch.tensor([2, 0, 1])

    def drift(x: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        return (places + 0.1 * x[..., :2]).sigmoid()

    one, places = decoder(content, position, reference, source, drift)
    other, moved = decoder(content[order], position[order], reference[order], source, drift)
    assert torch.allclose(one[:, :, order], other, atol=1e-5)
    assert torch.allclose(places[:, :, order], moved, atol=1e-5)
    assert torch.equal(places[0], reference.expand(B, -1, -1, -1))
    assert torch.equal(places[1], drift(one[0], places[0]))  # the second layer looks where the first has moved to


def test_a_slot_looks_next_where_its_point_is_and_one_token_in_the_middle_of_its_points():
    torch.manual_seed(0)
    for queries in ("sum", "single"):
        model = SocialGroups(DATA, model_of(queries=queries)).eval()
        model.points[-1].weight.data.normal_()
        states = torch.randn(B, G, model.group_queries.slots, 16)
        reference = torch.rand(B, G, model.group_queries.slots, 2)
        points = model._points(states, reference)
        assert points.shape == (B, G, M, 2)
        expected = points if queries == "sum" else points.mean(2, keepdim=True)
        assert torch.equal(model._next_slots(states, reference), expected)


def test_the_shapes_of_everything():
    for queries in QUERIES:
        model = SocialGroups(DATA, model_of(queries=queries))
        groups, persons = model(torch.randn(B, 5, 4, 6))
        assert groups.activities.shape == (2, B, G, 3)
        assert groups.sizes.shape == (2, B, G)
        assert groups.points.shape == (2, B, G, M, 2)
        assert groups.actions.shape == (2, B, G, M, 2)
        assert (persons.persons.shape, persons.boxes.shape, persons.actions.shape) == (
            (2, B, 5),
            (2, B, 5, 4),
            (2, B, 5, 2),
        )
    levels = Encoder(model_of(), 5)(torch.randn(B, 5, 5, 7))  # odd sizes are rounded up
    assert [tuple(level.shape) for level in levels] == [(B, 16, 5, 7), (B, 16, 3, 4)]


def test_an_activity_is_read_from_the_slots_that_exist():
    model = SocialGroups(DATA, model_of())
    states, sizes = torch.randn(1, B, G, M, 16), torch.tensor([0.5, 0.0, 1.0]).expand(1, B, G)
    pooled = model._pooled(states, sizes)
    assert torch.allclose(pooled[0, :, 0], states[0, :, 0, :2].mean(1), atol=1e-6)
    assert torch.allclose(pooled[0, :, 1], states[0, :, 1, 0], atol=1e-6)  # one at least
    assert torch.allclose(pooled[0, :, 2], states[0, :, 2].mean(1), atol=1e-6)
    part = model._pooled(states, torch.full((1, B, G), 1.5 / M))  # between one and two: the second counts half
    assert torch.allclose(part[0, :, 0], (states[0, :, 0, 0] + states[0, :, 0, 1] / 2) / 1.5, atol=1e-6)
    model.pool = "all"
    assert torch.allclose(model._pooled(states, sizes), states.mean(3))

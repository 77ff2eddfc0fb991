"""SMYRF: golden vectors and their clusters, the transform's identity, masks, lengths, gradients, memory."""

from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.mechanisms.smyrf import clustered_attention, naive_smyrf, smyrf
from regard.mechanisms.smyrf.clusters import cluster_sizes, cut
from regard.mechanisms.smyrf.hashing import checked_directions, hashes, sorted_tokens, stable_argsort
from regard.mechanisms.smyrf.naive import naive_transform
from regard.mechanisms.softmax import softmax
from regard.registry import build
from tests.regard.vectors import GOLDEN_TOLERANCE, draw, golden, gradients, heads, masks, peak_bytes

CASES = ["r1-c16", "r4-c8", "cross", "mask", "mask-batch", "scaled"]


@pytest.fixture(params=["kernel", "plain"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with torch's fused CPU kernel, once with the plain form that stands in for it elsewhere."""
    if request.param == "plain":
        monkeypatch.setattr(clustered_attention, "HAS_CPU_KERNEL", False)


def options_of(case: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    arrays, options = golden(f"smyrf-{case}")
    mask = arrays.get("key_mask")
    return arrays, {
        "cluster_size": options["q_cluster_size"],
        "directions": arrays["alpha"],
        "scale": arrays["scale"].item(),
        "key_mask": mask,
        "query_mask": mask,
    }


def real(arrays: dict[str, Tensor]) -> Tensor:
    """Where the golden output means something: rows of real queries, (b, 1, n, 1)."""
    mask = arrays.get("key_mask", torch.ones(arrays["q"].shape[0], arrays["q"].shape[2], dtype=torch.bool))
    return mask[:, None, :, None]


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, kernel: None) -> None:
    arrays, options = options_of(case)
    out = smyrf(arrays["q"], arrays["k"], arrays["v"], rounds=arrays["alpha"].shape[1], **options)
    torch.testing.assert_close(out * real(arrays), arrays["out"] * real(arrays), rtol=0, atol=GOLDEN_TOLERANCE)


@pytest.mark.parametrize("case", CASES)
def test_golden_of_the_definition(case: str) -> None:
    arrays, options = options_of(case)
    out = naive_smyrf(*(arrays[name].double() for name in "qkv"), **options).float()
    torch.testing.assert_close(out * real(arrays), arrays["out"] * real(arrays), rtol=0, atol=GOLDEN_TOLERANCE)


@pytest.mark.parametrize("case", ["r1-c16", "r4-c8", "cross", "scaled"])
def test_golden_clusters(case: str) -> None:
    """The same sets of tokens in every cluster; order inside one is free."""
    arrays, options = options_of(case)
    q, k, number = arrays["q"], arrays["k"], arrays["q"].shape[2] // options["cluster_size"]
    orders = sorted_tokens(*hashes(q, k, arrays["alpha"], "asymmetric", arrays["alpha"].shape[1]))
    for found, expected in zip(orders, (arrays["q_perm"], arrays["k_perm"]), strict=True):
        ours, theirs = (x.long().unflatten(3, (number, -1)).sort(-1).values for x in (found, expected))
        assert torch.equal(ours, theirs)


def test_the_released_mask_of_the_wrong_item_is_wrong() -> None:
    """Row i of b · h head rows gets the mask of item i mod b: reproduced, and far from what the definition gives."""
    arrays, options = options_of("mask-batch")
    (b, h, n, d), mask = arrays["q"].shape, arrays["key_mask"]
    misplaced = mask[torch.arange(b * h) % b]
    options |= {"key_mask": misplaced, "query_mask": misplaced}
    released = smyrf(*(arrays[name].reshape(b * h, 1, n, d) for name in "qkv"), rounds=2, **options)
    kept = misplaced[:, None, :, None]
    official = arrays["out_official"].reshape(b * h, 1, n, d)
    torch.testing.assert_close(released * kept, official * kept, rtol=0, atol=GOLDEN_TOLERANCE)
    assert ((arrays["out_official"] - arrays["out"]) * real(arrays)).abs().max() > 1


@given(st.integers(1, 6), st.integers(1, 6), st.floats(0.01, 100))
def test_nearest_is_largest_product(n: int, m: int, size: float) -> None:
    """‖F(q) - G(k)‖² = 2 (M_Q² + M_K² - q · k), and all F and G have one norm."""
    q, k = size * draw(n, 5, seed=n), draw(m, 5, seed=m + 9)
    F, G = naive_transform(q, k, q.norm(dim=1).max(), k.norm(dim=1).max())
    squared = q.square().sum(1).max() + k.square().sum(1).max()
    torch.testing.assert_close(
        torch.cdist(F, G, compute_mode="donot_use_mm_for_euclid_dist").square(), 2 * (squared - q @ k.T)
    )
    for each in (F, G):
        torch.testing.assert_close(each.square().sum(1), squared.expand(len(each)))


@pytest.mark.parametrize("rounds", [1, 3])
@pytest.mark.parametrize("m", [20, 13])
def test_one_cluster_is_softmax_attention(rounds: int, m: int, kernel: None) -> None:
    q, k, v = heads(0, n=20, m=m)
    mask = torch.rand(2, m, generator=torch.Generator().manual_seed(0)) < 0.7
    for key_mask in (None, mask):
        ours = smyrf(q, k, v, rounds=rounds, cluster_size=20, key_mask=key_mask)
        torch.testing.assert_close(ours, softmax(q, k, v, key_mask=key_mask))


def test_a_key_met_in_two_rounds_counts_twice() -> None:
    """Tokens 0 and 1 in clusters of one. The first two rounds pair each query with its own key, the third with the other."""
    q = k = torch.tensor([[[[0.0], [1.0]]]])
    v = torch.tensor([[[[0.0], [3.0]]]])
    together, crossed = [1.0, 0.0, 0.0], [1.0, 0.0, 9.0]  # query 0 has the larger extra coordinate, √2 to 1
    directions = torch.tensor([together, together, crossed]).T
    out = smyrf(q, k, v, rounds=3, cluster_size=1, directions=directions, scale=0.0)
    torch.testing.assert_close(out[0, 0, :, 0], torch.tensor([1.0, 2.0]))


SHAPES = st.tuples(
    st.integers(1, 9), st.integers(1, 9), st.integers(1, 10), st.none() | st.integers(1, 10), st.integers(1, 3)
)


@settings(max_examples=80)
@given(SHAPES, st.sampled_from([(3, 3), (2, 4), (4, 1)]), st.booleans(), st.data())
@example((9, 2, 1, None, 2), (3, 3), False, None)  # fewer keys than clusters
@example((2, 9, 2, 1, 2), (3, 3), True, None)  # the keys decide how many clusters there are
def test_values_and_gradients_equal_the_definition(
    shape: tuple[int, int, int, int | None, int], widths: tuple[int, int], plain_form: bool, data: st.DataObject | None
) -> None:
    n, m, C, K, rounds = shape
    d, e = widths
    query_mask, key_mask = (None, None) if data is None else (data.draw(masks(2, n)), data.draw(masks(2, m)))
    q, k, v = heads(n + 10 * m, n=n, m=m, d=d, e=e)
    if query_mask is not None:
        q = q.masked_fill(~query_mask[:, None, :, None], torch.nan)
    if key_mask is not None:
        k, v = (x.masked_fill(~key_mask[:, None, :, None], torch.inf) for x in (k, v))
    inputs = [x.requires_grad_() for x in (q, k, v)]
    directions = draw(d + 2, rounds, seed=5)
    options: dict[str, Any] = {"cluster_size": C, "key_cluster_size": K, "directions": directions}
    options |= {"key_mask": key_mask, "query_mask": query_mask}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clustered_attention, "HAS_CPU_KERNEL", clustered_attention.HAS_CPU_KERNEL and not plain_form)
        fast = smyrf(*inputs, rounds=rounds, **options)
        ours = gradients(fast, inputs)
    plain = naive_smyrf(*inputs, **options)
    torch.testing.assert_close(fast, plain)
    if not plain.requires_grad:  # nothing real to attend to, or from
        assert all(gradient.abs().max() == 0 for gradient in ours)
        return
    for mine, theirs in zip(ours, gradients(plain, inputs), strict=True):
        torch.testing.assert_close(mine, theirs)


@settings(max_examples=60)
@given(SHAPES, st.data())
def test_no_query_is_left_blind(shape: tuple[int, int, int, int | None, int], data: st.DataObject) -> None:
    """With values of 1 every real query gets 1 as long as there is a real key; all others get 0."""
    n, m, C, K, rounds = shape
    query_mask, key_mask = data.draw(masks(2, n)), data.draw(masks(2, m))
    q, k, _ = heads(1, n=n, m=m)
    out = smyrf(
        q, k, torch.ones(2, 2, m, 1, dtype=q.dtype), rounds=rounds, cluster_size=C, key_cluster_size=K,
        query_mask=query_mask, key_mask=key_mask, generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    sees = torch.ones(2, n, dtype=torch.bool) if query_mask is None else query_mask
    sees = sees if key_mask is None else sees & key_mask.any(-1, keepdim=True)
    torch.testing.assert_close(out, sees[:, None, :, None].expand_as(out).double())


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 8), st.integers(0, 8), st.integers(1, 5), st.integers(1, 5))
def test_padding_changes_no_real_row(n: int, m: int, pad_n: int, pad_m: int, C: int, K: int) -> None:
    q, k, v = heads(2, b=1, n=n + pad_n, m=m + pad_m)
    query_mask, key_mask = torch.arange(n + pad_n)[None] < n, torch.arange(m + pad_m)[None] < m
    options: dict[str, Any] = {"rounds": 2, "cluster_size": C, "directions": draw(6, 2, seed=1)}
    masked = {"query_mask": query_mask, "key_mask": key_mask}
    for sizes in ({"key_cluster_size": K}, {}):
        if not sizes and n * (m + pad_m) < m * (n + pad_n):
            continue  # K follows from the padded lengths, and this row has fewer queries a key than they: the documented exception
        whole = smyrf(q, k, v, **options, **masked, **sizes)
        alone = smyrf(q[:, :, :n], k[:, :, :m], v[:, :, :m], **options, **sizes)
        torch.testing.assert_close(whole[:, :, :n], alone)


def test_self_attention_pads_by_itself() -> None:
    """100 tokens in clusters of 32: the same as 128 of which 28 are padding."""
    q, k, v = heads(3, n=128)
    mask = (torch.arange(128) < 100).expand(2, -1)
    options: dict[str, Any] = {"rounds": 2, "cluster_size": 32, "directions": draw(6, 2, seed=1)}
    padded = smyrf(q, k, v, key_mask=mask, query_mask=mask, **options)
    torch.testing.assert_close(padded[:, :, :100], smyrf(*(x[:, :, :100] for x in (q, k, v)), **options))
    assert padded[:, :, 100:].abs().max() == 0


def test_cluster_sizes() -> None:
    assert cluster_sizes(24, 40, 3, None) == (3, 5)
    assert cluster_sizes(100, 100, 32, None) == (32, 32)
    assert cluster_sizes(5, 1000, 32, None) == (5, 1000)  # never larger than the list
    assert cluster_sizes(100, 3, 10, None) == (10, 1)


def test_cut_by_hand() -> None:
    """Five of eight queries real in clusters of two: {a, b}, {c, d}, {e}; three keys go with them as 1, 1, 1."""
    by_hash = torch.arange(8)[None, None, None]
    query_mask, key_mask = torch.arange(8)[None] < 5, torch.arange(8)[None] < 3
    (clusters,) = cut(by_hash, by_hash, 2, 2, query_mask, key_mask)
    assert clusters.query_filled is not None
    assert clusters.key_filled is not None
    assert clusters.query_filled[0, 0].tolist() == [True] * 5 + [False] * 3
    assert clusters.query_token[0, 0, :5].tolist() == [0, 1, 2, 3, 4]
    members = [
        clusters.key_token[0, 0, i : i + 2][clusters.key_filled[0, 0, i : i + 2]].tolist() for i in range(0, 8, 2)
    ]
    assert members == [[0], [1], [2], []]


def test_keys_fewer_than_clusters_are_shared_by_neighbours() -> None:
    """Eight queries in clusters of two, three keys: the clusters hold keys 0, 0, 1, 2, and clusters of one key are of one set."""
    by_hash = torch.arange(8)[None, None, None]
    (clusters,) = cut(by_hash, by_hash[..., :3], 2, 2, None, None)
    assert clusters.key_filled is not None
    assert clusters.key_token[0, 0][clusters.key_filled[0, 0]].tolist() == [0, 0, 1, 2]
    assert clusters.key_set[0, 0].tolist() == [0, 0, 1, 2]


def test_directions_come_from_a_generator_or_are_given() -> None:
    q, k, v = heads(4, n=16)
    directions = torch.randn(6, 3, generator=torch.Generator().manual_seed(7))
    given_ = smyrf(q, k, v, rounds=3, cluster_size=4, directions=directions)
    drawn = smyrf(q, k, v, rounds=3, cluster_size=4, generator=torch.Generator().manual_seed(7))
    other = smyrf(q, k, v, rounds=3, cluster_size=4, generator=torch.Generator().manual_seed(8))
    assert torch.equal(given_, drawn)
    assert not torch.equal(given_, other)


def test_the_layer_keeps_its_directions() -> None:
    def layer(seed: int) -> Any:
        return build("smyrf", width=8, heads=2, rounds=2, cluster_size=4, generator=torch.Generator().manual_seed(seed))

    first, second = layer(0), layer(1)
    assert torch.equal(first.directions, layer(0).directions)
    assert "directions" in first.state_dict()
    x = draw(2, 17, 8, seed=1, dtype=torch.float32)
    assert torch.equal(first(x), first(x))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))
    assert not torch.equal(first(x), layer(1)(x))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype, kernel: None) -> None:
    inputs = [x.to(dtype).requires_grad_() for x in heads(5, n=20, d=8, e=8)]
    wide = [x.detach().float().requires_grad_() for x in inputs]
    mask = torch.arange(20).expand(2, -1) < torch.tensor([[20], [13]])
    options: dict[str, Any] = {"rounds": 2, "cluster_size": 6, "directions": draw(10, 2, seed=1), "key_mask": mask}
    out, exact = smyrf(*inputs, **options), smyrf(*wide, **options)
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), exact, rtol=0, atol=0.02)
    for ours, theirs in zip(gradients(out.float(), inputs), gradients(exact, wide), strict=True):
        torch.testing.assert_close(ours.float(), theirs, rtol=0, atol=0.1)


@pytest.mark.parametrize("part_bytes", [1, 700])
def test_parts_of_a_round_change_nothing(part_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A round goes through the kernel in parts of whole clusters: one at a time, or a few."""
    inputs = [x.requires_grad_() for x in heads(7, n=23, m=17)]
    mask = torch.arange(17).expand(2, -1) < torch.tensor([[17], [9]])
    for key_mask in (None, mask):
        options: dict[str, Any] = {
            "rounds": 3,
            "cluster_size": 4,
            "directions": draw(6, 3, seed=1),
            "key_mask": key_mask,
        }
        found = []
        for size in (2**20, part_bytes):
            monkeypatch.setattr(clustered_attention, "PART_BYTES", size)
            out = smyrf(*inputs, **options)
            found.append([out, *gradients(out, inputs)])
        for whole, parts in zip(*found, strict=True):
            torch.testing.assert_close(parts, whole)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_order_is_the_stable_argsort(dtype: torch.dtype) -> None:
    """By radix from 2**15 numbers on: both zeros are one, infinities last, equals by position."""
    x = draw(2, 3, 6000, seed=1).mul(30).round().to(dtype)
    if dtype == torch.float32:
        x[0, 0, ::7], x[0, 0, 1::7], x[1, :, ::5], x[1, 1, 3] = 0.0, -0.0, torch.inf, -torch.inf
        x[0, 1] = draw(6000, seed=2).float() * 1e-20
    else:
        x = x.abs() * 10**7
    assert torch.equal(stable_argsort(x), x.argsort(dim=-1, stable=True))


def test_redraw_draws_in_training_only() -> None:
    layer = build("smyrf", width=8, heads=2, rounds=2, cluster_size=4, redraw=True)
    x = draw(2, 17, 8, seed=1, dtype=torch.float32)
    directions = layer.directions.clone()
    assert not torch.equal(layer(x), layer(x))
    torch.manual_seed(3)
    first = layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    assert torch.equal(layer.directions, directions)


def test_any_layout_of_memory() -> None:
    q, k, v = heads(6, n=12, e=4)
    options: dict[str, Any] = {"rounds": 2, "cluster_size": 4, "directions": draw(6, 2, seed=1)}
    expected = smyrf(q, k, v, **options)
    by_token = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v)]  # as a layer splits its heads
    sliced = [torch.cat([x, x], -1)[..., :4] for x in (q, k, v)]
    for inputs in (by_token, sliced, [q, *by_token[1:]]):
        inputs = [x.detach().requires_grad_() for x in inputs]
        torch.testing.assert_close(smyrf(*inputs, **options), expected, rtol=0, atol=1e-12)
        leaves = [x.detach().contiguous().requires_grad_() for x in inputs]
        for ours, theirs in zip(
            gradients(smyrf(*inputs, **options), inputs), gradients(smyrf(*leaves, **options), leaves), strict=True
        ):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("b", "n", "m"), [(0, 5, 5), (2, 0, 5), (2, 5, 0)])
def test_nothing_to_do(b: int, n: int, m: int) -> None:
    out = smyrf(*heads(0, b=b, n=n, m=m), cluster_size=2)
    assert out.shape == (b, 2, n, 3)
    assert out.abs().sum() == 0


@pytest.mark.slow
def test_compiled_forward_and_backward() -> None:
    layer = build("smyrf", width=8, heads=2, rounds=2, cluster_size=4)
    x, mask = draw(2, 10, 8, seed=1, dtype=torch.float32), torch.arange(10).expand(2, -1) < torch.tensor([[10], [6]])
    found = []
    for run in (layer, torch.compile(layer, fullgraph=True, backend="aot_eager")):
        found.append(gradients(run(x, x_mask=mask).double(), list(layer.parameters())))
    for plain, compiled in zip(*found, strict=True):
        torch.testing.assert_close(compiled, plain)


def test_memory_at_most_twice_the_inputs_and_output() -> None:
    q, k, v = (draw(1, 2, 4096, 64, seed=i, dtype=torch.float32) for i in range(3))
    used = peak_bytes(lambda: smyrf(q, k, v, rounds=2, cluster_size=32))
    assert used - 4 * q.numel() <= 2 * 4 * (
        4 * q.numel()
    )  # extra: the output is not; float32 has 4 bytes; q, k, v, out


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"cluster_size": 0}, ValueError, "cluster_size must be at least 1, got 0"),
        ({"key_cluster_size": -3}, ValueError, "key_cluster_size must be at least 1, got -3"),
        ({"rounds": 0}, ValueError, "rounds must be at least 1, got 0"),
        ({"cluster_size": 2.0}, TypeError, r"cluster_size must be an integer, got 2\.0"),
        (
            {"scheme": "plane"},
            ValueError,
            "scheme must be one of 'asymmetric', 'plain', 'reformer', 'random', got 'plane'",
        ),
        ({"scheme": "reformer", "buckets": 3}, ValueError, "buckets must be even, half of them for .*, got 3"),
        ({"dedup": 1}, TypeError, "dedup must be True or False, got 1"),
    ],
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        smyrf(*heads(0, n=5), **options)
    with pytest.raises(error, match=message):
        build("smyrf", width=4, heads=2, **options)


def test_bad_inputs() -> None:
    q, k, v = heads(0, n=5, m=7)
    with pytest.raises(ValueError, match=r"directions must be \(d \+ 2, rounds\) = \(6, 2\), got \(5, 2\)"):
        smyrf(q, k, v, directions=torch.zeros(5, 2))
    with pytest.raises(ValueError, match=r"query_mask must be \(batch, length\) = \(2, 5\), got \(2, 7\)"):
        smyrf(q, k, v, query_mask=torch.ones(2, 7, dtype=torch.bool))
    with pytest.raises(ValueError, match="k and v must have one length, got 7 and 6"):
        smyrf(q, k, v[:, :, 1:])


@pytest.mark.parametrize("causal", [False, True])
def test_threads_change_no_bit(causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread hashes, sorts and attends for heads of its own; what it leaves is what one thread leaves."""
    monkeypatch.setattr("regard.common.threads.WORTH_SHARING", 0)
    q, k, v = (draw(2, 3, 150, 8, seed=s, dtype=torch.float32).requires_grad_() for s in (1, 2, 3))
    mask, threads = torch.rand(2, 150, generator=torch.Generator().manual_seed(4)) < 0.8, torch.get_num_threads()
    directions = {scheme: checked(scheme) for scheme in ("asymmetric", "random", "reformer")}
    for scheme, drawn in directions.items():
        for dedup in (False, True):
            found = []
            for number in (1, 2):
                try:
                    torch.set_num_threads(number)
                    masks = {"key_mask": mask, "query_mask": mask}
                    options = {"scheme": scheme, "dedup": dedup, "causal": causal, "directions": drawn, "buckets": 8}
                    out = smyrf(q, k, v, rounds=2, cluster_size=16, **masks, **options)
                    found.append([out, *torch.autograd.grad(out.square().sum(), (q, k, v))])
                finally:
                    torch.set_num_threads(threads)
            assert all(ours.equal(theirs) for ours, theirs in zip(*found, strict=True))


def checked(scheme: str) -> torch.Tensor:
    return checked_directions(None, scheme, 8, 2, 8, torch.Generator().manual_seed(5))

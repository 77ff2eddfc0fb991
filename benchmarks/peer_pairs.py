"""What `peers.py` compares: each mechanism of ours beside that of a package, with the same weights and the same choices.

Each function yields the pairs of one mechanism at n tokens. A package is imported when its pairs are asked for.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import regard
from regard.mechanisms.linformer import naive_linformer
from regard.mechanisms.local import naive_local
from regard.mechanisms.performer import naive_performer
from regard.mechanisms.softmax import naive_softmax

HEADS, D, WINDOW, FEATURES, LANDMARKS, RANK = 8, 64, 15, 64, 64, 64
WIDTH = HEADS * D


@dataclass
class Pair:
    """Ours and theirs, on the same inputs.

    `inputs` are those of both. `reference` is the plain definition, `None` where the two are known to be different
    things that people choose between: they are timed, and the table says that they are different. The last
    `unheld` outputs are not held to the reference. `parameters` are those of ours and of theirs, for the backward pass.
    """

    name: str
    package: str
    ours: Callable[..., Tensor]
    theirs: Callable[..., Tensor]
    inputs: tuple[Tensor, ...]
    reference: Callable[..., Tensor] | None
    differences: str = ""
    unheld: int = 0
    parameters: tuple[Sequence[Tensor], Sequence[Tensor]] = ((), ())


def heads(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """q, k and v `(1, 8, n, 64)`."""
    q, k, v = (torch.randn(1, HEADS, n, D, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2, 3))
    return q, k, v


def tokens(n: int) -> Tensor:
    """The input of a layer `(1, n, 512)`."""
    return torch.randn(1, n, WIDTH, generator=torch.Generator().manual_seed(4))


def softmax_pairs(n: int) -> Iterator[Pair]:
    """What runs in place of an attention that is not swapped, against torch's own."""
    for causal in (False, True):
        name = "softmax, causal" if causal else "softmax"
        yield Pair(
            name,
            "torch",
            functools.partial(regard.functional.softmax, causal=causal),
            functools.partial(F.scaled_dot_product_attention, is_causal=causal),
            heads(n),
            functools.partial(naive_softmax, causal=causal),
        )


def local_pairs(n: int) -> Iterator[Pair]:
    """Exact windows, and the package's default, whole blocks."""
    from local_attention import LocalAttention

    common: dict[str, Any] = {"window_size": WINDOW, "autopad": True, "use_rotary_pos_emb": False}
    theirs = LocalAttention(causal=False, look_backward=1, look_forward=1, exact_windowsize=True, **common)
    yield Pair(
        f"local, window {WINDOW}",
        "local-attention",
        functools.partial(regard.functional.local, window=WINDOW),
        theirs,
        heads(n),
        functools.partial(naive_local, window=WINDOW),
        f"the last {WINDOW} queries of theirs see the zeros that it pads with; they are not held to the reference",
        unheld=WINDOW,
    )
    yield Pair(
        f"local, window {WINDOW + 1}, causal",
        "local-attention",
        functools.partial(regard.functional.local, window=WINDOW + 1, causal=True),
        LocalAttention(causal=True, exact_windowsize=True, **common),
        heads(n),
        functools.partial(naive_local, window=WINDOW + 1, causal=True),
        f"theirs counts the keys before the query, window_size={WINDOW}, ours the query too",
    )
    yield Pair(
        f"local, blocks of {WINDOW}",
        "local-attention",
        functools.partial(regard.functional.local, window=WINDOW),
        LocalAttention(causal=False, look_backward=1, look_forward=1, **common),
        heads(n),
        functools.partial(naive_local, window=WINDOW),
        "theirs attends to whole blocks around the query's own, as it does unless exact_windowsize is set",
        unheld=WINDOW,
    )


def performer_pairs(n: int) -> Iterator[Pair]:
    """One projection for all heads, as theirs has it."""
    from performer_pytorch.performer_pytorch import FastAttention, causal_linear_attention_noncuda, softmax_kernel

    theirs = FastAttention(dim_heads=D, nb_features=FEATURES)
    W = theirs.projection_matrix
    yield Pair(
        f"performer, {FEATURES} features",
        "performer-pytorch",
        functools.partial(regard.functional.performer, projection=W),
        theirs,
        heads(n),
        functools.partial(naive_performer, projection=W),
        "theirs has no gradient through the largest exponent, ours the exact one",
    )

    def causal(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        phi_q, phi_k = (softmax_kernel(x, projection_matrix=W, is_query=x is q, eps=0.0) for x in (q, k))
        return causal_linear_attention_noncuda(phi_q, phi_k, v, eps=0.0)

    yield Pair(
        f"performer, {FEATURES} features, causal",
        "performer-pytorch",
        functools.partial(regard.functional.performer, projection=W, causal=True),
        causal,
        heads(n),
        functools.partial(naive_performer, projection=W, causal=True),
        "theirs by its functions with eps=0, because its eps lets every row see the future",
    )


def layer_with_bias_behind(name: str, **options: Any) -> Any:
    """One of our layers, with a bias in the output projection only, as theirs have it."""
    layer = regard.build(name, width=WIDTH, heads=HEADS, bias=False, **options)
    layer.output = nn.Linear(WIDTH, WIDTH)
    return layer


def nystrom_pairs(n: int) -> Iterator[Pair]:
    """Layers with the same weights."""
    from nystrom_attention import NystromAttention

    ours = layer_with_bias_behind("nystrom", landmarks=LANDMARKS)
    theirs = NystromAttention(dim=WIDTH, dim_head=D, heads=HEADS, num_landmarks=LANDMARKS, residual=False)
    with torch.no_grad():
        theirs.to_qkv.weight.copy_(torch.cat([ours.query.weight, ours.key.weight, ours.value.weight]))
    theirs.to_out[0].load_state_dict(ours.output.state_dict())
    options: dict[str, Any] = {"landmarks": LANDMARKS, "variant": "released", "scale": D**-0.5}
    ours.mix = lambda q, k, v, key_mask: regard.functional.nystrom(q, k, v, key_mask=key_mask, **options)

    def reference(x: Tensor) -> Tensor:
        q, k, v = (ours._split(name, x) for name in ("query", "key", "value"))
        q_mean, k_mean = (y.unflatten(2, (LANDMARKS, -1)).mean(3) for y in (q, k))
        first, A, last = ((a @ b.mT * D**-0.5).softmax(-1) for a, b in ((q, k_mean), (q_mean, k_mean), (q_mean, k)))
        Z, eye = A.mT / (A.sum(-1).max() * A.sum(-2).max()), torch.eye(LANDMARKS)
        for _ in range(6):
            Z = Z @ (13 * eye - A @ Z @ (15 * eye - A @ Z @ (7 * eye - A @ Z))) / 4
        return ours.output((first @ Z @ (last @ v)).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    yield Pair(
        f"nystrom layer, {LANDMARKS} landmarks",
        "nystrom-attention",
        ours,
        theirs,
        (tokens(n),),
        reference,
        "theirs starts the pseudo-inverse from one maximum over all heads; so does ours here",
        parameters=(list(ours.parameters()), list(theirs.parameters())),
    )


def linformer_pairs(n: int) -> Iterator[Pair]:
    """Layers with the same weights."""
    from linformer import LinformerSelfAttention

    ours = layer_with_bias_behind("linformer", length=n, rank=RANK)
    theirs = LinformerSelfAttention(dim=WIDTH, seq_len=n, k=RANK, heads=HEADS)
    for name in ("query", "key", "value"):
        getattr(theirs, f"to_{name[0]}").load_state_dict(getattr(ours, name).state_dict())
    theirs.to_out.load_state_dict(ours.output.state_dict())
    with torch.no_grad():
        theirs.proj_k.copy_(ours.key_projection.T)
        theirs.proj_v.copy_(ours.value_projection.T)

    def reference(x: Tensor) -> Tensor:
        q, k, v = (ours._split(name, x) for name in ("query", "key", "value"))
        return ours.output(naive_linformer(q, k, v, **ours.options()).transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    yield Pair(
        f"linformer layer, rank {RANK}",
        "linformer",
        ours,
        theirs,
        (tokens(n),),
        reference,
        parameters=(list(ours.parameters()), list(theirs.parameters())),
    )


def smyrf_pairs(n: int) -> Iterator[Pair]:
    """Against another attention by hashing, which is another function, and against what it takes the place of."""
    from reformer_pytorch import LSHAttention

    directions = torch.randn(D + 2, 2, generator=torch.Generator().manual_seed(5))
    ours = functools.partial(regard.functional.smyrf, rounds=2, cluster_size=32, directions=directions)
    reformer = LSHAttention(bucket_size=32, n_hashes=2, causal=False).eval()

    def theirs(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return reformer(q[0], v[0])[0][None]  # type: ignore[no-any-return]

    yield Pair(
        "smyrf, 2 × 32",
        "torch",
        ours,
        F.scaled_dot_product_attention,
        heads(n),
        None,
        "different things: an approximation against fused dense attention, whose place it takes",
    )
    yield Pair(
        "smyrf, 2 × 32, and Reformer",
        "reformer-pytorch",
        ours,
        theirs,
        heads(n),
        None,
        "different things: theirs has keys that are the queries at length 1, and looks one bucket back",
    )


PAIRS = (softmax_pairs, local_pairs, performer_pairs, nystrom_pairs, linformer_pairs, smyrf_pairs)

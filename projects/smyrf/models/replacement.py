"""The methods of table `drop_in`: a mechanism of a given budget, or even weights, in the place of a trained model's attention.

The budget is a share of dense attention's operations: matrix products, 2 per multiply-add, of the attention itself and
not of the projections before and behind it; the formulas are the mechanisms' own (`regard.cost`). A method gets the
largest sizes whose operations stay within it. Those that have two sizes spend about half on each: exact scores and
features (Scatterbrain), blocks and a sample (HyperAttention, KDEformer).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from projects.smyrf.config import SMYRF, Method, Replacement
from projects.smyrf.models.swapping import FUSED, restored
from regard import cost
from regard.adapters import huggingface
from regard.common.patterns import Pattern, is_causal

EVEN = "smyrf-even"
ROUNDS = 2  # of SMYRF, as in the paper's GLUE

Options = dict[str, Any]


class Sizes(NamedTuple):
    """What attention works on: tokens, the width of a head, and whether it is causal."""

    n: int
    d: int
    pattern: Pattern


class Setting(NamedTuple):
    """A mechanism of `regard` with its options; `operations` and `score_memory` over those of dense attention."""

    mechanism: str
    options: Options
    operations: float
    score_memory: float


# A size -> a mechanism's options.
OPTIONS: dict[str, Callable[[int, Sizes], Options]] = {
    "smyrf": lambda size, sizes: {"rounds": ROUNDS, "cluster_size": size},
    "smyrf_once": lambda size, sizes: {"rounds": ROUNDS, "cluster_size": size, "dedup": True},
    # As many buckets as clusters, made even, as in the released code's branch of schemes.
    "reformer": lambda size, sizes: {
        "rounds": ROUNDS,
        "cluster_size": size,
        "scheme": "reformer",
        "buckets": 2 * math.ceil(sizes.n / (2 * size)),
    },
    "random": lambda size, sizes: {"rounds": ROUNDS, "cluster_size": size, "scheme": "random"},
    "local": lambda size, sizes: {"window": size},
    "performer": lambda size, sizes: {"features": size},
    "nystrom": lambda size, sizes: {"landmarks": size},
    # Of n tokens a query scores 2 size (+ 1) in its window, and its features cost as much as 2 size scores.
    "scatterbrain": lambda size, sizes: {"window": 2 * size if is_causal(sizes.pattern) else size, "features": size},
    "hyper": lambda size, sizes: {"block_size": size, "sample_size": size},
    "kde": lambda size, sizes: {"block_size": size, "sample_size": size},
}


def setting(method: Method, share: float, sizes: Sizes) -> Setting:
    """The largest setting of a method that stays within a share of dense attention's operations.

    Raises:
        ValueError: The least setting already takes more.
    """
    mechanism = "smyrf" if method in SMYRF else method
    dense = operations("softmax", {}, sizes)
    for size in range(sizes.n, 0, -1):
        options = OPTIONS[method](size, sizes)
        if (taken := operations(mechanism, options, sizes) / dense) <= share:
            entries = cost.score_memory(mechanism, n=sizes.n, pattern=sizes.pattern, **options)
            return Setting(mechanism, options, taken, entries)
    raise ValueError(
        f"{method} takes {taken:.0%} of dense attention's operations at least, with {sizes.n} tokens in heads of"
        f" {sizes.d}; the budget is {share:.0%}"
    )


def operations(mechanism: str, options: Options, sizes: Sizes) -> int:
    """Operations of one head."""
    n, d = sizes.n, sizes.d
    formula = cost.class_of(mechanism, options).mix_flops
    return int(formula(heads=1, n=n, m=n, d=d, e=d, pattern=sizes.pattern, **options))


@contextmanager
def replaced(model: Any, replacement: Replacement, sizes: Sizes, seed: int) -> Iterator[Setting]:
    """Within the block the method attends in every layer of the model, without padding; afterwards the model is as it was.

    Args:
        model: A model of transformers.
        replacement: The method and its budget.
        sizes: What the budget is counted on.
        seed: Of what is drawn.

    Returns:
        The mechanism with its options, and what it takes.

    Raises:
        ValueError: The budget is too small, or the model's attention cannot be swapped.
    """
    with restored(model):
        if replacement.method == "softmax":
            model.set_attn_implementation(FUSED)
            yield Setting("softmax", {}, 1.0, 1.0)
        elif replacement.method == "even":
            set_even_weights(model)
            yield Setting("even", {}, 0.0, 0.0)
        else:
            chosen = setting(replacement.method, replacement.share, sizes)
            model.set_attn_implementation(f"regard-{chosen.mechanism}")
            huggingface.configure(model, mechanism=chosen.mechanism, seed=seed, **chosen.options)
            yield chosen


def set_even_weights(model: Any) -> None:
    """Have every layer of a model weigh all keys alike, a causal one those so far."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(EVEN, even_weights)
    AttentionMaskInterface.register(EVEN, no_padding)
    model.set_attn_implementation(EVEN)


def even_weights(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **given: Any
) -> tuple[Tensor, None]:
    """The mean of the values, as transformers calls an attention function: the floor of everything that scores."""
    value = value.repeat_interleave(query.shape[1] // value.shape[1], 1)
    if huggingface.is_causal_module(module, None):
        so_far = torch.arange(1, value.shape[2] + 1, device=value.device, dtype=value.dtype)
        mixed = value.cumsum(2) / so_far[:, None]
    else:
        mixed = value.mean(2, keepdim=True).expand_as(value)
    return mixed.transpose(1, 2).contiguous(), None


def no_padding(*sizes: Any, attention_mask: Tensor | None = None, **given: Any) -> None:
    """No mask, as transformers asks a mask function: only whole sequences are measured.

    Raises:
        ValueError: There is padding.
    """
    if attention_mask is not None and not bool(attention_mask.all()):
        padded = int((~attention_mask.bool()).sum())
        raise ValueError(f"even weights are for sequences without padding, got {padded} padded tokens")

"""Each property is able to fail: for each, a right mechanism broken in one place, and the properties that notice.

`Right` is plain softmax attention. A break that stands in `attend` is in `mix` and in its reference alike, so that only
the property itself can see it; a break in `mix` alone is one that the reference would reveal.
"""

import os
from collections.abc import Mapping
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from regard.attention import Attention
from regard.certification import PROPERTIES, certify
from regard.common.patterns import ALL_PATTERNS, Pattern

COMPILATION = "compilation"  # half a second each: it runs only where it is to fail


class Right(Attention):
    """Softmax attention in full: what the classes below break."""

    name = "right"
    patterns = ALL_PATTERNS

    def attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        seen = self.seen(q.shape[2], k.shape[2])[None, None]
        if key_mask is not None:
            seen = seen & key_mask[:, None, None, :]
            v = v.masked_fill(~key_mask[:, None, :, None], 0)
        weights = self.weights((q @ k.mT) * q.shape[-1] ** -0.5, seen)
        return torch.where(seen.any(-1, keepdim=True), weights, 0) @ v

    def seen(self, n: int, m: int) -> Tensor:
        seen = torch.ones(n, m, dtype=torch.bool)
        return seen.tril() if self.causal else seen

    def weights(self, scores: Tensor, seen: Tensor) -> Tensor:
        return scores.masked_fill(~seen, -torch.inf).softmax(-1)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return self.attend(q, k, v, key_mask)

    def naive(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return self.attend(q, k, v, key_mask)


class OtherDtype(Right):
    def forward(self, *inputs: Any, **masks: Any) -> Tensor:
        return super().forward(*inputs, **masks).double()


class WritesIntoItsInput(Right):
    def forward(self, x: Tensor, *context: Any, **masks: Any) -> Tensor:
        out = super().forward(x, *context, **masks)
        with torch.no_grad():
            x.clamp_(-1, 1)
        return out


class RefusesAnEmptyBatch(Right):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        q.amax()
        return super().attend(q, k, v, key_mask)


class CentredOverTheBatch(Right):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return super().attend(q - q.mean(0), k, v, key_mask)


class IgnoresTheMask(Right):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return super().attend(q, k, v, None)


class MasksTheScoresOnly(Right):
    """0 · NaN is NaN: masked values must go before the product."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        out = super().attend(q, k, torch.zeros_like(v), key_mask)
        mask = torch.ones(k.shape[0], k.shape[2], dtype=torch.bool) if key_mask is None else key_mask
        seen = self.seen(q.shape[2], k.shape[2]) & mask[:, None, None, :]
        weights = self.weights((q @ k.mT) * q.shape[-1] ** -0.5, seen)
        return out + torch.where(seen.any(-1, keepdim=True), weights, 0) @ v


class BlindQueriesSeeAll(Right):
    """A row of -inf scores is no distribution; the mean of all values is no answer."""

    def weights(self, scores: Tensor, seen: Tensor) -> Tensor:
        return super().weights(scores, seen | ~seen.any(-1, keepdim=True))

    def attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        if key_mask is not None:
            key_mask = key_mask | ~key_mask.any(-1, keepdim=True)
        return super().attend(q, k, v, key_mask)


class SeesOneAhead(Right):
    def seen(self, n: int, m: int) -> Tensor:
        return torch.ones(n, m, dtype=torch.bool).tril(1)


class PoolsOverTheTarget(Right):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return super().attend(q - q.mean(2, keepdim=True), k, v, key_mask)


class SeesItselfOnly(Right):
    """Causal attention with bounded memory, as it was released: the sum over j ≤ i is missing."""

    def seen(self, n: int, m: int) -> Tensor:
        return torch.eye(n, m, dtype=torch.bool)


class SeesThePastOnly(Right):
    """Noncausal in name: the first position has nothing to see. In cross attention: a causal mask over the source."""

    def seen(self, n: int, m: int) -> Tensor:
        return torch.ones(n, m, dtype=torch.bool).tril()


class ClaimsTooMuch(Right):
    @classmethod
    def exact(cls, length: int) -> Mapping[str, Any] | None:
        return {}

    def weights(self, scores: Tensor, seen: Tensor) -> Tensor:
        return super().weights(2 * scores, seen)


class ForgetsTheCausalMask(ClaimsTooMuch):
    def weights(self, scores: Tensor, seen: Tensor) -> Tensor:
        return Right.weights(self, scores, seen)

    def seen(self, n: int, m: int) -> Tensor:
        return torch.ones(n, m, dtype=torch.bool)


class DetachesTheKeys(Right):
    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return self.attend(q, k.detach(), v, key_mask)


class DrawsFromTheSystem(Right):
    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        drawn = int.from_bytes(os.urandom(6), "big") / 2**48  # one byte alone is drawn twice in 256 tries
        self.register_buffer("shift", torch.tensor(1.0 + drawn, dtype=torch.float64) * torch.rand(()))


class UnseededNoiseInTraining(Right):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        generator = torch.Generator()
        generator.seed()
        noise = torch.rand(v.shape, generator=generator, dtype=v.dtype) if self.training else 0
        return super().attend(q, k, v + noise, key_mask)


class NoiseInEvaluation(Right):
    """Far below every tolerance, and not the same bits."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return super().attend(q, k, v + 1e-12 * torch.rand_like(v), key_mask)


class DrawnOutsideTheStateDict(Right):
    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.register_buffer("shift", torch.rand(()), persistent=False)

    def attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return super().attend(q, k, v, key_mask) * self.get_buffer("shift")


class BranchesOnData(Right):
    def attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return super().attend(2 * q if q.numel() and q.max() > 1e6 else q, k, v, key_mask)


class SeesItsOwnPadding(Right):
    """Keys padded to a multiple of 8, without a mask for the new ones: wrong at 63, right at 24."""

    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        empty = -k.shape[2] % 8
        k, v = (F.pad(each, (0, 0, 0, empty)) for each in (k, v))
        return self.attend(q, k, v, None if key_mask is None else F.pad(key_mask, (0, empty), value=True))


class DividesByOneLess(Right):
    """Right at every length but 1."""

    def attend(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        return super().attend(q, k, v * ((k.shape[2] - 1) / torch.tensor(k.shape[2] - 1.0, dtype=v.dtype)), key_mask)


class UncountedParameter(Right):
    def __init__(self, **sizes: Any) -> None:
        super().__init__(**sizes)
        self.temperature = nn.Parameter(torch.ones(self.heads))


class CountsBiasesAlways(Right):
    @classmethod
    def parameter_count(cls, *, width: int, heads: int, length: int, bias: bool = True, **options: Any) -> int:
        return 4 * (width * width + width)


class ExponentialWithoutMaximum(Right):
    def weights(self, scores: Tensor, seen: Tensor) -> Tensor:
        weights = scores.exp().masked_fill(~seen, 0)
        return weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)


class CoarseInHalf(Right):
    """Weights kept to two bits, in half precision only."""

    def weights(self, scores: Tensor, seen: Tensor) -> Tensor:
        weights = super().weights(scores, seen)
        return (4 * weights).round() / 4 if weights.dtype in (torch.bfloat16, torch.float16) else weights


class Raises(Right):
    def mix(self, q: Tensor, k: Tensor, v: Tensor, key_mask: Tensor | None) -> Tensor:
        raise RuntimeError("no kernel for this")


BROKEN: list[tuple[type[Right], Pattern, set[str]]] = [
    (OtherDtype, "noncausal_self", {"shape and dtype", "half precision"}),
    (RefusesAnEmptyBatch, "noncausal_self", {"shape and dtype"}),
    (CentredOverTheBatch, "noncausal_self", {"batch independence", "padding"}),
    (IgnoresTheMask, "noncausal_self", {"padding"}),
    (IgnoresTheMask, "causal_cross", {"padding"}),
    (MasksTheScoresOnly, "noncausal_self", {"padding"}),
    (BlindQueriesSeeAll, "noncausal_cross", {"padding"}),
    (SeesOneAhead, "causal_self", {"causality"}),
    (PoolsOverTheTarget, "causal_cross", {"causality", "padding"}),
    (SeesItselfOnly, "causal_self", {"mixing"}),
    (SeesThePastOnly, "noncausal_self", {"mixing"}),
    (SeesThePastOnly, "causal_cross", {"mixing"}),
    (ClaimsTooMuch, "noncausal_self", {"exactness"}),
    (ForgetsTheCausalMask, "causal_self", {"causality", "exactness"}),
    (DetachesTheKeys, "noncausal_self", {"gradients"}),
    (DrawsFromTheSystem, "noncausal_self", {"determinism"}),
    (UnseededNoiseInTraining, "noncausal_self", {"determinism"}),
    (NoiseInEvaluation, "noncausal_self", {"determinism", "state dict"}),
    (DrawnOutsideTheStateDict, "noncausal_self", {"state dict"}),
    (BranchesOnData, "noncausal_self", {COMPILATION}),
    (SeesItsOwnPadding, "noncausal_self", {"lengths", "padding"}),
    (DividesByOneLess, "noncausal_self", {"lengths", "padding"}),
    (UncountedParameter, "noncausal_self", {"parameter formula"}),
    (CountsBiasesAlways, "noncausal_self", {"parameter formula"}),
    (ExponentialWithoutMaximum, "noncausal_self", {"half precision"}),
    (CoarseInHalf, "noncausal_self", {"half precision"}),
]


def failing(cls: type[Right], pattern: Pattern, *, compiled: bool) -> set[str]:
    chosen = [name for name, _ in PROPERTIES if compiled or name != COMPILATION]
    return {each.property for each in certify(cls, [pattern], properties=chosen) if not each.passed}


@pytest.mark.parametrize("pattern", ALL_PATTERNS)
def test_the_right_mechanism_is_certified(pattern: Pattern) -> None:
    assert failing(Right, pattern, compiled=True) == set()


@pytest.mark.parametrize(("cls", "pattern", "properties"), BROKEN)
def test_a_break_is_noticed_by_its_property(cls: type[Right], pattern: Pattern, properties: set[str]) -> None:
    assert failing(cls, pattern, compiled=COMPILATION in properties) == properties


def test_a_layer_that_writes_into_its_input_is_noticed() -> None:
    outcomes = certify(WritesIntoItsInput, ["noncausal_self"], properties=["shape and dtype"])
    assert [each.detail for each in outcomes] == ["the layer writes into its input"]


def test_every_property_has_a_break() -> None:
    assert {name for _, _, properties in BROKEN for name in properties} == {name for name, _ in PROPERTIES}


def test_an_exception_is_a_failure_with_its_message_and_never_ends_the_run() -> None:
    outcomes = certify(Raises, ["noncausal_self", "causal_cross"])
    assert len(outcomes) == 2 * len(PROPERTIES)
    failures = {each.property: each.detail for each in outcomes if not each.passed}
    assert "no kernel for this" in failures["shape and dtype"]
    assert "no kernel for this" in failures[COMPILATION]
    assert set(failures) == {name for name, _ in PROPERTIES} - {"exactness", "parameter formula"}

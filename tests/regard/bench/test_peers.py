"""The straightforward forms in `benchmarks/` compute what the library's fast functions do: otherwise their times would compare nothing."""

import pytest
import torch

from regard.bench.cases import Case, Inputs, kinds_of, load_function, prepare
from regard.bench.command import peers_of
from tests.paths import ROOT

CASES = [
    (path.stem.removeprefix("straightforward_"), pattern)
    for path in sorted((ROOT / "benchmarks").glob("straightforward_*.py"))
    for pattern in (("noncausal_self",) if "smyrf" in path.stem else ("noncausal_self", "causal_self"))
]


@pytest.mark.parametrize(("mechanism", "pattern"), CASES)
def test_peers_agree_with_the_library(mechanism, pattern, monkeypatch):
    monkeypatch.chdir(ROOT)
    base = Case("softmax", "library", "mix", pattern, dtype="float64", heads=2, head_width=8)
    peers = peers_of(mechanism, [])
    assert peers == [f"benchmarks/straightforward_{mechanism}.py:straightforward_{mechanism}"]
    options = ["rounds=2", "cluster_size=16"] if mechanism == "smyrf" else None
    library, _, peer = (
        Case(**{**vars(kind), "n": 96}) for kind in kinds_of(mechanism, base, options=options, peers=peers)
    )
    inputs = Inputs(library)
    assert torch.allclose(prepare(peer, inputs)(), prepare(library, inputs)(), rtol=1e-9, atol=1e-9)


def test_there_are_three():
    assert [name for name, pattern in CASES if pattern == "noncausal_self"] == ["local", "performer", "smyrf"]


def test_a_function_that_is_not_there():
    with pytest.raises(ValueError, match="has no function 'other'"):
        load_function(f"{ROOT}/benchmarks/straightforward_local.py:other")

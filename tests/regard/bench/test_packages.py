"""`benchmarks/peers.py` compares nothing that is not the same thing, and `benchmarks/threads.py` ends what it starts."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from regard.loading import load_file
from regard.mechanisms.softmax import naive_softmax, softmax

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def peers(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(BENCHMARKS)  # as for a script that is run there
    module = load_file(BENCHMARKS / "peers.py")
    monkeypatch.setattr(module, "PACKAGES", ())
    monkeypatch.setattr(module, "LEAST", 1)
    return module


def zeros(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return 0 * (q + k + v)


def test_what_is_not_the_same_is_not_compared(peers: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pairs(n: int) -> Iterator[Any]:
        yield peers.Pair("itself", "torch", softmax, softmax, import_module("peer_pairs").heads(n), naive_softmax)
        yield peers.Pair(
            "zeros", "torch", softmax, zeros, import_module("peer_pairs").heads(n), naive_softmax, "theirs is 0"
        )
        yield peers.Pair(
            "another thing", "torch", softmax, zeros, import_module("peer_pairs").heads(n), None, "said to be another"
        )

    monkeypatch.setattr(peers, "PAIRS", (pairs,))
    threads = torch.get_num_threads()
    try:
        peers.measure([64], 0.0, tmp_path)
    finally:
        torch.set_num_threads(threads)
    result = json.loads(next(tmp_path.glob("peers-*.json")).read_text())
    assert [check["same"] for check in result["held_to_reference"]] == [True, False, False]
    assert {line["name"] for line in result["lines"]} == {"itself", "another thing"}
    text = next(tmp_path.glob("peers-*.md")).read_text()
    assert "| zeros | torch |" in text
    assert "not compared | theirs is 0" in text


def test_ours_that_is_wrong_ends_the_run(peers: Any) -> None:
    with pytest.raises(RuntimeError, match=r"from the reference, more than 0\.0001: zeros"):
        peers.held(peers.Pair("zeros", "torch", zeros, softmax, import_module("peer_pairs").heads(64), naive_softmax))


def test_threads_beside_a_busy_process(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_file(BENCHMARKS / "threads.py")
    with module.busy(2) as started:
        assert [process.poll() for process in started] == [None, None]
    assert all(process.poll() is not None for process in started)
    monkeypatch.setattr(module, "calls", lambda n: {"nothing": lambda: torch.zeros(1)})
    threads = torch.get_num_threads()
    try:
        lines = module.measure(64, 1)
    finally:
        torch.set_num_threads(threads)
    assert [(line["busy"], line["threads"]) for line in lines] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    text = module.page({"date": "", "torch": "", "processor": "", "cores": 2, "turns": 1}, lines)
    assert text.count("| nothing | 64 |") == 2

"""Inputs of the mechanisms' tests: golden vectors, seeded draws, masks, and the heaviest moment of a call."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tests.paths import GOLDEN

GOLDEN_TOLERANCE = 2e-5  # float32 against float64, ample


def golden(case: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The arrays of `tests/golden/<case>.npz` and its options."""
    arrays = np.load(GOLDEN / f"{case}.npz")
    tensors = {name: torch.from_numpy(arrays[name]) for name in arrays.files if name != "meta"}
    return tensors, json.loads(str(arrays["meta"]))["options"]


def draw(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def heads(
    seed: int, *, b: int = 2, h: int = 2, n: int = 20, m: int | None = None, d: int = 4, e: int = 3
) -> tuple[Tensor, Tensor, Tensor]:
    """q (b, h, n, d), k (b, h, m, d) and v (b, h, m, e), float64; m = n unless given."""
    m = n if m is None else m
    return draw(b, h, n, d, seed=seed), draw(b, h, m, d, seed=seed + 1), draw(b, h, m, e, seed=seed + 2)


def masks(batch: int, length: int) -> st.SearchStrategy[Tensor | None]:
    """No mask, or any mask at all: holes, left padding, a row with nothing in it."""
    row = st.lists(st.booleans(), min_size=length, max_size=length)
    return st.none() | st.lists(row, min_size=batch, max_size=batch).map(
        lambda rows: torch.tensor(rows, dtype=torch.bool).reshape(batch, length)
    )


def gradients(out: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    """The gradients of an uneven sum of `out`."""
    return torch.autograd.grad((out * draw(*out.shape, seed=99)).sum(), inputs)


def peak_bytes(call: Callable[[], Tensor]) -> int:
    """The most memory that is allocated at one moment of the call, its result included."""
    call()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        call()
    now = most = 0
    for event in record.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most

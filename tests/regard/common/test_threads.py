"""Shares of work: every unit once, errors arrive, modes hold, and processes that fork have threads of their own."""

import multiprocessing
from collections.abc import Iterator

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from regard.common.nonfinite import all_finite
from regard.common.threads import WORTH_SHARING, holds_numbers, share_out


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


def shares(units: int, numbers: int = WORTH_SHARING) -> list[tuple[int, int, int]]:
    """What each call of the work was given, and with how many threads of torch."""
    given: list[tuple[int, int, int]] = []
    read = torch.zeros(1).expand(numbers)
    share_out(units, lambda part: given.append((part.start, part.stop, torch.get_num_threads())), read)
    return sorted(given)


def test_each_thread_gets_a_share_and_computes_alone() -> None:
    assert shares(5) == [(0, 2, 1), (2, 5, 1)]
    assert shares(5) == [(0, 2, 1), (2, 5, 1)]
    assert torch.get_num_threads() == 2


def test_one_unit_or_little_work_stays_with_the_caller() -> None:
    assert shares(1) == [(0, 1, 2)]
    assert shares(5, WORTH_SHARING - 1) == [(0, 5, 2)]
    with FlopCounterMode(display=False):
        assert shares(5) == [(0, 5, 2)]


def test_an_error_of_a_share_arrives() -> None:
    def work(part: slice) -> None:
        raise RuntimeError(f"units {part.start} to {part.stop}")

    with pytest.raises(RuntimeError, match="units 0 to 1"):
        share_out(2, work, torch.zeros(WORTH_SHARING))
    assert len(shares(2)) == 2


@pytest.mark.parametrize("inference", [False, True])
def test_results_belong_to_the_mode_of_the_caller(inference: bool) -> None:
    made: list[torch.Tensor] = []
    with torch.inference_mode(inference), torch.autocast("cpu"):
        x = torch.ones(8, 8, requires_grad=True)
        share_out(2, lambda part: made.append(x @ x), torch.zeros(WORTH_SHARING))
    assert [y.is_inference() for y in made] == [inference, inference]
    assert not any(y.requires_grad for y in made)
    assert all(y.dtype == torch.float32 for y in made)


def _child(sender) -> None:
    sender.send(shares(4))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no processes that fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own() -> None:
    shares(4)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_child, args=(sender,))
    process.start()
    assert receiver.poll(30), "the forked process waits for threads that it does not have"
    assert len(receiver.recv()) == 2
    process.join()


@pytest.mark.filterwarnings("ignore:.*jit.trace:DeprecationWarning")
def test_what_holds_numbers() -> None:
    x = torch.ones(3)
    assert holds_numbers(x, torch.nn.Parameter(x))
    assert not holds_numbers(x.to("meta"))
    seen: list[bool] = []
    torch.func.vmap(lambda y: (seen.append(holds_numbers(y)), y)[1])(x)
    torch.func.jvp(lambda y: (seen.append(holds_numbers(y)), y)[1], (x,), (x,))
    torch.jit.trace(lambda y: (seen.append(holds_numbers(y)), y + 1)[1], x, check_trace=False)
    assert seen == [False, False, False]


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_one_number_that_is_not_finite_is_found(value: float) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x, y = torch.full((3, 700), 200.0, dtype=dtype), torch.ones(2, dtype=dtype)
        assert all_finite(x, y)
        x[1, 333] = value
        assert not all_finite(y, x)

"""Cases in, rows out: who is timed against whom, what is left out, and what is added by bisection. Costs are made up; nothing waits for a clock."""

import pytest
import torch

from regard.bench import run
from regard.bench.cases import Case
from regard.bench.memory import Peak
from regard.bench.run import History, bisect, bracket, measure, with_doubling, with_memory
from regard.bench.table import Environment, Row

HERE = Environment("2.13.0", "none", 2, 1)
FUSED = Case("softmax", "fused", "mix", "noncausal_self", heads=2, head_width=4)
SOFTMAX_LAYER = Case("softmax", "library", "layer", "noncausal_self", heads=2, head_width=4)
LOCAL = Case("local", "library", "mix", "noncausal_self", heads=2, head_width=4)
PLAIN = Case("local", "plain", "mix", "noncausal_self", heads=2, head_width=4)
EFFICIENT = Case("efficient", "library", "layer", "noncausal_self", heads=2, head_width=4)
COSTS = {  # seconds at length n
    FUSED: lambda n: 1e-6 * n * n,
    LOCAL: lambda n: 3e-4 * n,
    PLAIN: lambda n: 5e-6 * n * n,
    SOFTMAX_LAYER: lambda n: 2e-6 * n * n,
    EFFICIENT: lambda n: 1e-6 * n * n,
}


@pytest.fixture
def made_up(monkeypatch):
    """Calls are cases; a case takes what `COSTS` says. The list of cases that were called."""
    called = []

    def timed(case):
        called.append(case)
        return COSTS[case.kind](case.n)

    def repeated(calls):
        return [[timed(case)] * 3 for case in calls]

    def peak_of(call):
        call()
        return Peak(1.0, 100.0)

    monkeypatch.setattr(run, "prepare", lambda case, inputs: case)
    monkeypatch.setattr(run, "elapsed_s", timed)
    monkeypatch.setattr(run, "interleaved", repeated)
    monkeypatch.setattr(run.memory, "peak_of", peak_of)
    return called


def measured(kinds, lengths, seconds=10.0):
    return {row.case: row for rows in measure(kinds, lengths, environment=HERE, seconds=seconds) for row in rows}


def at(kind, n):
    return run.replace(kind, n=n)


@pytest.mark.usefixtures("made_up")
def test_each_level_is_timed_against_its_own_baseline():
    rows = measured([FUSED, SOFTMAX_LAYER, LOCAL, EFFICIENT], [512, 128])
    assert [case.n for case in rows] == [128] * 4 + [512] * 4
    assert rows[at(LOCAL, 512)].speed == pytest.approx(512 / 300)
    assert rows[at(EFFICIENT, 128)].speed == pytest.approx(2)
    assert rows[at(FUSED, 128)].speed == 1
    assert rows[at(LOCAL, 128)].repeats == 3
    assert rows[at(LOCAL, 128)].environment == HERE


def test_what_would_take_too_long_is_left_out_and_says_so(made_up):
    rows = measured([FUSED, LOCAL, PLAIN], [256, 512, 1024, 2048], seconds=6.0)
    assert rows[at(PLAIN, 512)].time_s == pytest.approx(5e-6 * 512**2)
    assert rows[at(PLAIN, 1024)].time_s is None
    assert rows[at(PLAIN, 1024)].repeats == 0
    assert (
        rows[at(PLAIN, 1024)].skipped == "predicted: 4 runs of 5.2 s, allowed are 6 s"
    )  # 4 × 1.3 s would do: two points say 5.2
    assert rows[at(PLAIN, 2048)].skipped.startswith("predicted")
    assert at(PLAIN, 1024) not in made_up
    assert rows[at(FUSED, 2048)].skipped.startswith("predicted: 4 runs of 4.2 s")
    assert rows[at(LOCAL, 2048)].time_s is not None
    assert rows[at(LOCAL, 2048)].speed is None


def test_a_long_first_length_is_predicted_from_probes(made_up):
    rows = measured([FUSED, LOCAL], [4096], seconds=10.0)
    assert rows[at(FUSED, 4096)].skipped == "predicted: 4 runs of 16.8 s, allowed are 10 s"
    assert list(rows) == [at(FUSED, 4096), at(LOCAL, 4096)]
    assert {case.n for case in made_up if case.kind == FUSED} == {256, 512, 1024}


def test_memory_that_is_not_there(monkeypatch):
    monkeypatch.setattr(run.memory, "available_mib", lambda: 4096.0)
    history = History(times=[(128, 1e-3)], peaks=[(128, 64.0), (256, 256.0)])
    assert history.too_much(512, 10.0, 4096.0) == ""
    assert history.too_much(1024, 10.0, 4096.0) == "predicted: 4.0 GiB, available are 4.0 GiB"
    assert History().too_much(2**20, 1.0, 1.0) == ""


def test_what_a_peer_cannot_be_is_the_reason(tmp_path):
    (tmp_path / "own.py").write_text("def evens(q, k, v):\n    raise ValueError(f'not {q.shape[2]}')\n")
    peer = run.replace(LOCAL, form=f"{tmp_path}/own.py:evens")
    rows = measured([FUSED, peer, LOCAL], [8])
    assert rows[at(peer, 8)].skipped == "ValueError: not 8"
    assert rows[at(LOCAL, 8)].time_s > 0


def test_real_cases_of_every_form_run_forward_and_backward(tmp_path):
    (tmp_path / "own.py").write_text(
        "def own(q, k, v, *, window, causal):\n    assert window == 15\n    assert causal\n    return q + v\n"
    )
    causal = {"pattern": "causal_self", "backward": True}
    kinds = [run.replace(kind, **causal) for kind in (FUSED, SOFTMAX_LAYER, LOCAL, PLAIN, EFFICIENT)]
    kinds += [
        run.replace(kinds[2], form=f"{tmp_path}/own.py:own"),
        run.replace(kinds[4], mechanism="super", form="plain"),
    ]
    kinds += [
        run.replace(kinds[2], mechanism="longshort"),
        run.replace(kinds[2], mechanism="smyrf", pattern="noncausal_cross"),
    ]
    rows = measured(kinds, [16])
    assert [(case.mechanism, row.skipped) for case, row in rows.items() if row.skipped] == []
    assert all(row.time_s > 0 for row in rows.values())


def test_forward_leaves_no_graph_and_backward_leaves_no_gradients():
    assert not run.prepare(at(EFFICIENT, 8), run.Inputs(at(EFFICIENT, 8)))().requires_grad
    for backward in (False, True):
        case = run.replace(LOCAL, n=8, backward=backward)
        inputs = run.Inputs(case)
        out = run.prepare(case, inputs)()
        assert inputs.heads[0].requires_grad is backward
        assert inputs.heads[0].grad is None
        if backward:
            assert out[0].shape == (1, 2, 8, 4)
        else:
            assert not out.requires_grad
    assert torch.equal(run.Inputs(case).heads[1], inputs.heads[1])


@pytest.mark.usefixtures("made_up")
def test_bisection_closes_in_on_the_crossing():
    rows = list(measured([FUSED, LOCAL], [128, 256, 512]).values())
    more = list(bisect(rows, environment=HERE, seconds=10.0))
    assert [row.case.kind for row in more] == [LOCAL] * len(more)
    assert [row.case.n for row in more] == [360, 304, 280]  # they cross at 300
    low, high = bracket([row for row in [*rows, *more] if row.case.kind == LOCAL])
    assert low <= 300 <= high
    assert high <= 1.1 * low
    assert list(bisect([row for row in rows if row.case.n > 256], environment=HERE, seconds=10.0)) == []


def row_of_speed(n, speed):
    return Row(at(LOCAL, n), HERE, "", time_s=1.0, baseline_s=speed)


def test_brackets():
    assert bracket([row_of_speed(512, 1.5), row_of_speed(128, 1.5), row_of_speed(256, 0.5)]) == (256, 512)
    assert bracket([row_of_speed(128, 1.5), row_of_speed(256, 1.5)]) is None
    assert bracket([row_of_speed(128, 1.5), row_of_speed(256, 0.5)]) is None
    assert bracket([]) is None


def test_growth_is_of_a_length_and_its_half_in_turns(made_up):
    rows = [row_of_speed(n, 1.0) for n in (128, 192, 256)] + [Row(at(LOCAL, 512), HERE, "", skipped="predicted")]
    grown = list(with_doubling(rows))
    assert [row.doubling for row in grown] == [None, None, pytest.approx(2.0), None]
    assert [row.time_s for row in grown] == [row.time_s for row in rows]
    assert made_up[:4] == [at(LOCAL, 256), at(LOCAL, 128)] * 2


def test_memory_is_added_to_what_was_measured(monkeypatch):
    asked = []

    def fresh(case, threads):
        asked.append((case, threads))
        return "no" if case.n == 256 else Peak(2.0, 50.0)

    monkeypatch.setattr(run.memory, "in_a_fresh_process", fresh)
    rows = [row_of_speed(128, 1.0), row_of_speed(256, 1.0), Row(at(PLAIN, 128), HERE, "", skipped="predicted")]
    first, second, third = with_memory(rows)
    assert (first.peak_mib, first.resident_mib, first.time_s) == (2.0, 50.0, 1.0)
    assert (second.peak_mib, second.skipped, second.time_s) == (None, "memory: no", 1.0)
    assert third == rows[2]
    assert asked == [(at(LOCAL, 128), 1), (at(LOCAL, 256), 1)]

"""Targets on made-up rows: which rows count, the worst of several, and what is missing."""

from dataclasses import replace

import pytest

from regard.bench.cases import Case
from regard.bench.table import Environment, Row
from regard.bench.targets import R2C32, R4C128, checks

HERE = Environment("2.13.0", "none", 2, 2)
MIB = {65536: 512.0, 16384: 128.0}  # q + k + v + out of 8 heads of width 64


def row(
    mechanism,
    n,
    time_s=1.0,
    baseline_s=None,
    *,
    options="",
    form="library",
    level="mix",
    pattern="noncausal_self",
    **rest,
):
    sizes = {name: rest.pop(name) for name in ("heads", "backward", "dtype") if name in rest}
    case = Case(mechanism, form, level, pattern, options, n=n, **sizes)
    return Row(case, HERE, "", time_s, 0.0, 3, baseline_s, **rest)


def found(rows, about):
    (check,) = [check for check in checks(rows) if check.about.startswith(about)]
    return check


def test_without_rows_nothing_is_decided():
    assert all(check.holds is None and check.measured is None for check in checks([]))
    assert len({check.about for check in checks([])}) == len(checks([])) == 25


@pytest.mark.parametrize(("speed", "holds"), [(4.0, True), (3.9, False)])
def test_speed_at_a_length(speed, holds):
    check = found([row("smyrf", 4096, 1.0, speed, options=R2C32)], f"smyrf {R2C32}: speed at n = 4,096")
    assert (check.measured, check.holds, check.bound, check.where) == (speed, holds, "≥ 4", "n = 4,096")


def test_rows_of_other_sizes_do_not_count():
    good = row("smyrf", 4096, 1.0, 9.0, options=R2C32)
    about = f"smyrf {R2C32}: speed at n = 4,096"
    assert found([good], about).holds
    others = [
        replace(good, environment=replace(HERE, threads=1)),
        *(
            replace(good, case=replace(good.case, **change))
            for change in ({"heads": 1}, {"backward": True}, {"dtype": "float64"})
        ),
        *(
            replace(good, case=replace(good.case, **change))
            for change in ({"form": "plain"}, {"options": R4C128}, {"batch": 2})
        ),
        replace(good, case=replace(good.case, pattern="noncausal_cross")),
    ]
    assert found(others, about).holds is None


def test_growth_is_between_powers_of_two_of_several_clusters():
    grown = ((1024, 4.0), (2048, 2.1), (4096, 2.4), (8192, None), (5793 * 2, 9.0))  # 1,024 over 512: one cluster of 512
    rows = [row("smyrf", n, options=R4C128, doubling=doubling) for n, doubling in grown]
    check = found(rows, f"smyrf {R4C128}: growth")
    assert check.measured == pytest.approx(2.4)
    assert check.holds is False


def test_straightforward_form_at_its_best_length():
    peer = {"form": "benchmarks/straightforward_smyrf.py:straightforward_smyrf", "options": R2C32}
    rows = [row("smyrf", n, 1.0, options=R2C32) for n in (1024, 4096, 16384)]
    rows += [row("smyrf", 1024, 0.5, **peer), row("smyrf", 4096, 3.0, **peer), row("smyrf", 16384, 2.5, **peer)]
    rows += [row("smyrf", 4096, 1e9, form="plain", options=R2C32)]
    check = found(rows, f"smyrf {R2C32}: speed from n = 4,096 on")
    assert (check.measured, check.holds, check.where) == (2.5, True, "worst of 2, at n = 16,384")


def test_memory():
    rows = [
        row("smyrf", 65536, options=options, peak_mib=MIB[65536] * ratio)
        for options, ratio in ((R2C32, 1.5), (R4C128, 2.5))
    ]
    assert (found(rows, "smyrf, every setting").measured, found(rows, "smyrf, every setting").holds) == (2.5, False)
    assert found([row("local", 65536, peak_mib=MIB[65536] * 2)], "local, window 15: peak").measured == 2
    rows = [row("abc", 16384, options="slots=64", pattern="causal_self", peak_mib=MIB[16384] * 4)]
    assert found(rows, "causal abc slots=64: peak").holds
    rows = [row("smyrf", 2**20, options=R2C32, heads=1, resident_mib=4096.0)]
    assert (found(rows, "smyrf, one head").measured, found(rows, "smyrf, one head").holds) == (4, True)


def test_from_a_length_on():
    rows = [row("local", n, 1.0, speed) for n, speed in ((512, 0.1), (1024, 1.5), (4096, 1.1))]
    assert (found(rows, "local, window 15: speed").measured, found(rows, "local, window 15: speed").holds) == (
        1.1,
        True,
    )
    rows = [
        row("cosformer", n, 1.0, speed, pattern="causal_self") for n, speed in ((2048, 0.1), (4096, 0.9), (8192, 2.0))
    ]
    assert (found(rows, "causal cosformer: speed").measured, found(rows, "causal cosformer: speed").holds) == (
        0.9,
        False,
    )


def test_layers_against_their_flops():
    """At n = 512, w = 512: maps 8 n w², products 4 n² w: a softmax layer 4 + 2 parts w² n … of which Efficient drops two maps."""
    rows = [row("efficient", 512, 1.0, 1.5, level="layer")]
    n = w = 512
    flops = (4 * n * w * w + 4 * n * n * w) / (8 * n * w * w + 4 * n * n * w)
    check = found(rows, "efficient layer")
    assert check.measured == pytest.approx(1 / 1.5 / flops)
    assert check.holds is True

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regard_lab.common.errors import UserError
from regard_lab.common.formatting import Key
from regard_lab.evidence.paper import Claim
from regard_lab.experiment.results import Result
from regard_lab.experiment.table_file import Column, SharedItems
from tests.regard_lab.evidence.claim_samples import NEW, OLD, claim, decide, two
from tests.regard_lab.samples import result, row


@pytest.mark.parametrize(
    ("new", "old", "word"),
    [
        ([71.0, 72.0, 73.0], [71.1, 71.9, 73.0], "holds"),
        ([71.0, 72.0, 73.0], [74.1, 74.9, 76.0], "fails"),
        ([74.1, 74.9, 76.0], [71.0, 72.0, 73.0], "fails"),
        ([71.0, 72.0, 73.0], [73.0, 71.0, 72.5], "undecided"),
        ([71.0, 72.0], [71.0, 72.0], "undecided"),
    ],
)
def test_equivalence(new: list[float], old: list[float], word: str) -> None:
    assert decide(claim("equivalence", margin=1.0), two(new, old)).verdict == word


def test_equivalence_by_hand() -> None:
    # differences 0, 0.2, 0.4: mean 0.2, error 0.2/√3, t(0.95, 2) = 2.919986
    verdict = decide(claim("equivalence", margin=1.0), two([70.0, 71.2, 72.4], [70.0, 71.0, 72.0]))
    assert verdict.statistic["low"] == pytest.approx(0.2 - 2.919986 * 0.2 / 3**0.5, rel=1e-5)
    assert verdict.statistic["n"] == 3
    assert verdict.statistic["p"] < 0.05
    assert verdict.sentence.startswith(
        "Accuracy of new minus that of old: +0.20 points, 90 % interval [−0.14, 0.54] points, within ± 1 point;"
    )
    assert "3 paired seeds" in verdict.sentence


def test_pairing_finds_what_noise_between_seeds_hides() -> None:
    evidence = two([60.5, 70.6, 80.4], [60.0, 70.0, 80.0])
    assert decide(claim("better"), evidence).verdict == "holds"
    assert decide(claim("better", paired=False), evidence).verdict == "undecided"
    assert decide(claim("equivalence", margin=2.0), evidence).verdict == "holds"
    assert decide(claim("equivalence", margin=2.0, paired=False), evidence).verdict == "undecided"


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({}, "holds"),
        ({"least": 1.0}, "holds"),
        ({"least": 2.0}, "undecided"),
        ({"least": 4.0}, "fails"),
        ({"direction": "lower"}, "fails"),
        ({"relative": True, "least": 3.0}, "undecided"),
        ({"relative": True, "least": 5.0}, "fails"),
        ({"relative": True, "direction": "lower"}, "fails"),
    ],
)
def test_better(more: dict[str, Any], word: str) -> None:
    # gains of 1.9, 2.0 and 2.1 points over 70: 2.71 to 3.0 %
    assert decide(claim("better", **more), two([71.9, 72.0, 72.1], [70.0, 70.0, 70.0])).verdict == word


@pytest.mark.parametrize(
    ("direction", "least", "word"),
    [
        ("higher", -2.0, "holds"),
        ("higher", -1.0, "undecided"),
        ("higher", -0.5, "fails"),
        ("lower", -2.0, "holds"),
        ("lower", -0.5, "holds"),
    ],
)
def test_no_worse_by_more_than_a_margin(direction: str, least: float, word: str) -> None:
    # behind by 0.9, 1.0 and 1.1: the interval of the mean is about −1.25 to −0.75
    verdict = decide(claim("better", direction=direction, least=least), two([69.1, 69.0, 68.9], [70.0, 70.0, 70.0]))
    assert verdict.verdict == word
    worse = "lower" if direction == "higher" else "higher"
    assert f"claimed to be at most {-least:g}" in verdict.sentence
    assert f" {worse}; " in verdict.sentence


def test_lower_is_better_relative() -> None:
    verdict = decide(
        claim("better", direction="lower", relative=True, least=5), two([9.0, 9.1, 8.9], [10.0, 10.0, 10.0])
    )
    assert verdict.verdict == "holds"
    assert verdict.statistic["estimate"] == pytest.approx(-10)
    assert verdict.sentence.startswith(
        "Accuracy of new is 10.0 % lower than that of old, 95 % interval of the difference ["
    )
    assert "claimed to be at least 5 % lower" in verdict.sentence


def test_equal_is_not_better() -> None:
    assert decide(claim("better"), two([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])).verdict == "fails"


def test_relative_gain_over_nothing() -> None:
    assert "does not exist" in decide(claim("better", relative=True), two([1.0, 2.0, 3.0], [0.0, 2.0, 3.0])).sentence


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=3, max_size=6),
    st.randoms(use_true_random=False),
)
def test_seeds_pair_whatever_their_order(pairs: list[tuple[int, int]], random: Any) -> None:
    order = list(range(len(pairs)))
    random.shuffle(order)
    new, old = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    mixed = result(
        row(NEW, {"accuracy": [new[i] for i in order]}, seeds=order),
        row(OLD, {"accuracy": old}),
    )
    for one in (claim("equivalence", margin=3.0), claim("better"), claim("better", paired=False)):
        assert decide(one, mixed) == decide(one, two(new, old))


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), min_size=3, max_size=6), st.integers(-500, 500))
def test_shifting_both_rows_keeps_the_verdict(pairs: list[tuple[int, int]], shift: int) -> None:
    new, old = [float(a) for a, _ in pairs], [float(b) for _, b in pairs]
    shifted = two([x + shift for x in new], [x + shift for x in old])
    for one in (claim("equivalence", margin=3.0), claim("better", least=1.0)):
        assert decide(one, shifted).verdict == decide(one, two(new, old)).verdict


def test_only_shared_seeds_are_paired() -> None:
    evidence = result(
        row(NEW, {"accuracy": [1.0, 2.0, 3.0, 4.0]}, seeds=[0, 1, 2, 3]),
        row(OLD, {"accuracy": [9.0, 3.0, 2.0]}, seeds=[9, 3, 2]),
    )
    verdict = decide(claim("better"), evidence)
    assert (verdict.verdict, verdict.sentence) == ("undecided", "Too few seeds: 2 shared seeds, at least 3 are needed.")


def formula(**more: Any) -> Claim:
    return claim("formula", **{"kind": "arithmetic", "metric": "parameters", **more})


@pytest.mark.parametrize(
    ("values", "more", "word"),
    [
        ([3168.0], {"equals": "2 * (w**2 + w) + l**2 + l", "constants": {"w": 32, "l": 32}}, "holds"),
        ([3169.0], {"equals": "2 * (w**2 + w) + l**2 + l", "constants": {"w": 32, "l": 32}}, "fails"),
        ([3168.0], {"equals": "3 / 4", "against": OLD}, "holds"),
        ([3168.0], {"equals": "1 / 2", "against": OLD}, "fails"),
        ([100.0, 101.0, 99.0], {"equals": "100", "tolerance": 0.02}, "holds"),
        ([100.0, 101.0, 99.0], {"equals": "100"}, "fails"),  # a formula is exact: one case that differs refutes it
        ([104.0, 100.0, 103.0], {"equals": "100", "tolerance": 0.02}, "fails"),
        ([110.0, 110.5, 109.5], {"equals": "100", "tolerance": 0.02}, "fails"),
        ([64.0], {"equals": "memory * 2"}, "holds"),
    ],
)
def test_formula(values: list[float], more: dict[str, Any], word: str) -> None:
    evidence = result(
        row(NEW, {"parameters": values, "memory": [32.0] * len(values)}, unit=""),
        row(OLD, {"parameters": [4224.0]}, unit=""),
    )
    assert decide(formula(**more), evidence).verdict == word


def test_formula_uses_the_numbers_of_the_key() -> None:
    key: Key = {"attention": "new", "width": 8, "causal": True}
    evidence = result(row(key, {"parameters": [256.0]}))
    verdict = decide(formula(row=key, equals="4 * width**2"), evidence)
    assert (
        verdict.sentence == "Parameters of new, width 8, causal yes is 256; 4 * width**2 = 256; computed, not sampled."
    )
    assert verdict.statistic["expected"] == 256


def test_formula_over_nothing() -> None:
    evidence = result(row(NEW, {"parameters": [1.0]}), row(OLD, {"parameters": [0.0]}))
    assert decide(formula(equals="1", against=OLD), evidence).verdict == "undecided"


def lengths(per_length: dict[int, list[float]]) -> Result:
    lines = [row({"attention": "new", "length": n}, {"accuracy": values}, unit="s") for n, values in per_length.items()]
    return result(*reversed(lines), row({"attention": "old", "length": 1}, {"accuracy": [0.0] * 3}))


RISING = {1: [1.0, 1.1, 1.2], 2: [2.0, 2.2, 2.1], 4: [3.1, 3.0, 3.2]}


@pytest.mark.parametrize(
    ("per_length", "more", "word"),
    [
        (RISING, {}, "holds"),
        (RISING, {"direction": "lower"}, "fails"),
        (RISING, {"paired": False}, "holds"),
        (RISING, {"log": True}, "holds"),
        ({1: [1.0, 1.1, 1.2], 2: [2.0, 2.1, 2.2], 4: [1.5, 2.5, 0.5]}, {}, "undecided"),
        ({1: [1.0, 1.0, 1.0], 2: [1.0, 1.0, 1.0]}, {}, "fails"),  # level is not rising
        ({1: [1.0, 1.0, 1.0]}, {}, "not run"),
        ({1: [0.0, 1.1, 1.2], 2: [2.0, 2.1, 2.2]}, {"log": True}, "undecided"),
    ],
)
def test_trend(per_length: dict[int, list[float]], more: dict[str, Any], word: str) -> None:
    assert decide(claim("trend", over="length", **more), lengths(per_length)).verdict == word


def test_one_step_back_does_not_undo_a_trend() -> None:
    """Five rows of which two neighbours change places in one seed: the slope is clear, and each step on its own was not."""
    verdict = decide(
        claim("trend", over="length"),
        lengths({1: [1.0, 1.1, 1.2], 2: [2.0, 2.2, 3.1], 4: [3.1, 3.0, 3.0], 8: [4.0, 4.2, 4.1], 16: [5.0, 5.1, 5.3]}),
    )
    assert verdict.verdict == "holds"
    assert verdict.statistic["page"] < 0.001
    assert verdict.sentence.startswith(
        "With each doubling of the length, accuracy of new changes by +0.97 s, 95 % interval ["
    )


def test_trend_of_named_rows_over_a_metric() -> None:
    rows = [row({"attention": name}, {"accuracy": values, "memory": [memory] * 3}) for name, memory, values in [
        ("half", 50.0, [7.0, 7.1, 7.2]), ("dense", 100.0, [8.0, 8.2, 8.1]), ("quarter", 25.0, [6.0, 6.2, 6.1])]]  # fmt: skip
    keys = tuple(one.key for one in rows)
    verdict = decide(claim("trend", row={}, rows=keys, over="memory"), result(*rows))
    assert verdict.verdict == "holds"
    assert verdict.statistic["estimate"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("power", "at_least", "at_most", "word"),
    [(1.0, 0.9, 1.1, "holds"), (2.0, 0.9, 1.1, "fails"), (1.0, 1.5, 2.5, "fails"), (2.0, 1.5, float("inf"), "holds")],
)
def test_exponent(power: float, at_least: float, at_most: float, word: str) -> None:
    evidence = lengths({n: [n**power, n**power * 1.001] for n in (1, 2, 4, 8)})
    assert decide(claim("exponent", over="length", at_least=at_least, at_most=at_most), evidence).verdict == word


def test_exponent_with_a_wide_interval_or_without_one() -> None:
    one = claim("exponent", over="length", at_least=0.9, at_most=1.1)
    assert decide(one, lengths({1: [1.0], 2: [4.0], 4: [4.0]})).verdict == "undecided"
    assert "Too few points: 2" in decide(one, lengths({1: [1.0], 2: [4.0]})).sentence
    assert "positive values" in decide(one, lengths({1: [0.0], 2: [4.0], 4: [4.0]})).sentence


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"at_least": 1.0}, "holds"),
        ({"at_least": 1.5}, "undecided"),
        ({"at_least": 2.0}, "fails"),
        ({"at_most": 1.0}, "fails"),
        ({"at_least": 1.0, "at_most": 2.0}, "holds"),
    ],
)
def test_bound(more: dict[str, Any], word: str) -> None:
    evidence = result(row(NEW, {"accuracy": [1.4, 1.5, 1.6]}, unit="×"))
    assert decide(claim("bound", **more), evidence).verdict == word


def test_bound_sentence() -> None:
    evidence = result(row(NEW, {"accuracy": [1.4, 1.5, 1.6]}, unit="×"))
    sentence = decide(claim("bound", at_least=1.0, at_most=2.0), evidence).sentence
    assert sentence.startswith(
        "Accuracy of new is 1.50 ×, 95 % interval [1.25, 1.75] ×, claimed at least 1 × and at most 2 ×; p = 0.013, 3 seeds."
    )


def column(**more: Any) -> Column:
    return Column("accuracy", "Share of it", "%", **more)


def test_a_bounded_quantity_has_a_bounded_interval() -> None:
    evidence = two([0.0, 27.0, 0.5], [0.0])
    free = decide(claim("bound", at_most=50.0), evidence)
    bounded = decide(claim("bound", at_most=50.0, column=column(range=(0.0, 100.0))), evidence)
    assert free.statistic["low"] < 0
    assert 0 < bounded.statistic["low"] < bounded.statistic["estimate"] < bounded.statistic["high"] < 100


def test_a_claim_of_everything_is_refuted_by_one_exception() -> None:
    one = claim("bound", at_least=100.0, column=column(range=(0.0, 100.0)))
    assert decide(one, two([100.0, 100.0, 100.0], [0.0])).verdict == "holds"
    verdict = decide(one, two([100.0, 99.0, 100.0], [0.0]))
    assert (verdict.verdict, verdict.test) == ("fails", None)
    assert "claimed 100 % without exception; so with 2 of 3 seeds" in verdict.sentence


@pytest.mark.parametrize("kind", ["arithmetic", "deterministic"])
def test_what_is_computed_has_no_interval_and_counts_once(kind: str) -> None:
    verdict = decide(claim("bound", kind=kind, at_least=1.0), two([2.0, 2.0, 2.0], [0.0]))
    assert (verdict.verdict, verdict.statistic["n"], verdict.test) == ("holds", 1, None)
    assert "interval" not in verdict.sentence
    assert "seeds" not in verdict.sentence
    assert decide(claim("bound", kind=kind, at_least=1.0), two([2.0], [0.0])).verdict == "holds"  # one is enough
    better = decide(claim("better", kind=kind), two([2.0, 3.0, 9.0], [1.0, 1.0, 1.0]))
    assert (better.verdict, better.statistic["n"], better.test) == ("holds", 3, None)
    assert better.sentence.endswith("so in each of 3 cases.")
    assert decide(claim("better", kind=kind), two([2.0, 3.0, 0.9], [1.0, 1.0, 1.0])).verdict == "fails"


def test_a_time_is_relative_to_its_control() -> None:
    evidence = two([1.10, 1.12, 1.11], [1.09, 1.11, 1.13])
    assert decide(claim("bound", at_least=1.0), evidence).verdict == "holds"
    verdict = decide(claim("bound", kind="timing", at_least=1.0, control=OLD), evidence)
    assert verdict.verdict == "undecided"
    assert verdict.statistic["estimate"] == pytest.approx((1.10 / 1.09 + 1.12 / 1.11 + 1.11 / 1.13) / 3)
    assert "relative to its control, old timed against itself, is 1.00" in verdict.sentence
    assert "3 repeats" in verdict.sentence


def ranked(**values: list[float]) -> Result:
    return result(*(row({"attention": name}, {"accuracy": sample}) for name, sample in values.items()))


def test_a_leader_leads_all_rows() -> None:
    leads = claim("ranks", row=NEW, at_most=1)
    first = ranked(new=[9.0, 9.1, 9.2], old=[1.0, 1.1, 1.0], other=[5.0, 5.2, 5.1])
    assert decide(leads, first).verdict == "holds"
    assert (
        decide(claim("better"), ranked(new=[9.0, 9.1, 9.2], old=[1.0, 1.1, 1.0], other=[19.0, 19.1, 19.2])).verdict
        == "holds"
    )
    second = decide(leads, ranked(new=[9.0, 9.1, 9.2], old=[1.0, 1.1, 1.0], other=[19.0, 19.1, 19.3]))
    assert second.verdict == "fails"
    assert second.sentence.startswith(
        "Accuracy of new is 9.100 %, number 2 of 3 rows, by 95 % intervals 2, claimed to lead; the best row"
    )
    open_race = decide(leads, ranked(new=[9.0, 9.1, 9.2], old=[8.0, 9.9, 9.1]))
    assert open_race.verdict == "undecided"
    assert decide(claim("ranks", row=NEW, at_most=1, direction="lower"), first).verdict == "fails"
    without = claim("ranks", row=NEW, at_most=1, without=({"attention": "other"},))
    assert (
        decide(without, ranked(new=[9.0, 9.1, 9.2], old=[1.0, 1.1, 1.0], other=[19.0, 19.1, 19.2])).verdict == "holds"
    )


def test_ranks_of_what_is_computed() -> None:
    leads = claim("ranks", kind="arithmetic", row=NEW, at_most=1)
    assert decide(leads, ranked(new=[2.0], old=[1.0])).verdict == "holds"
    assert decide(leads, ranked(new=[1.0], old=[2.0])).verdict == "fails"
    assert "so far" not in decide(leads, ranked(new=[1.0], old=[2.0])).sentence
    assert decide(leads, ranked(old=[2.0])).verdict == "not run"
    assert decide(leads, ranked(new=[2.0])).verdict == "not run"


def test_few_shared_items_widen_an_interval_and_say_so() -> None:
    evidence = two([78.0, 78.5, 78.2], [80.0, 80.6, 80.1])
    records = {
        cell: {"identity": {"config": {"test": {"texts": 400}}}, "wall_time_s": 360.0}
        for one in evidence.rows
        for cell in one.cells
    }
    evidence = replace(evidence, records=records)
    plain = claim("better")
    assert decide(plain, evidence).verdict == "fails"
    shared = claim("better", column=column(range=(0.0, 100.0)), items=SharedItems("test.texts", {"accuracy": 1}))
    verdict = decide(shared, evidence)
    assert verdict.verdict == "undecided"
    # two shares near 0.8 of 400 texts each: an error of 2.8 points
    error = (verdict.statistic["high"] - verdict.statistic["low"]) / 2 / 1.96
    assert error == pytest.approx(100 * (0.7823 * 0.2177 / 400 + 0.8023 * 0.1977 / 400) ** 0.5, rel=0.02)
    assert "3 paired seeds on the same 400 items, whose own error is added at its upper bound." in verdict.sentence
    many = {**records, **{cell: {"identity": {"config": {"test": {"texts": 25_000}}}} for cell in records}}
    assert decide(shared, replace(evidence, records=many)).verdict == "fails"


def test_the_last_bits_of_equal_seeds_are_no_width() -> None:
    sentence = decide(
        claim("bound", at_least=0.2), two([0.20452976488889707, 0.2045297648888971, 0.20452976488889716], [0.0])
    ).sentence
    assert "is 0.2045 %, 95 % interval [0.2045, 0.2045] %" in sentence


def test_tiny_numbers_are_written_as_such() -> None:
    sentence = decide(claim("bound", at_most=1e-9), two([4.4e-16, 5.0e-16, 5.5e-16], [0.0])).sentence
    assert "is 4.967e-16 %, 95 % interval [3.599e-16, 6.335e-16] %" in sentence


def test_rows_that_are_missing_or_incomplete() -> None:
    one = claim("better")
    assert (
        decide(one, result(row(OLD, {"accuracy": [1.0] * 3}))).sentence == "The result of table scores has no row new."
    )
    absent = result(row(NEW, {}, status="not run", reason="data missing"), row(OLD, {"accuracy": [1.0] * 3}))
    assert decide(one, absent).verdict == "not run"
    assert "data missing" in decide(one, absent).sentence
    for status in ("failed", "not run"):
        partial = two([1.0, 2.0, 3.0], [0.0, 1.0, 2.0], status=status, reason="out of memory")
        assert decide(one, partial).verdict == "undecided"
        assert "3 seeds finished): out of memory" in decide(one, partial).sentence
    assert decide(claim("better", metric="speed"), two([1.0] * 3, [1.0] * 3)).sentence == "The row new has no speed."


def test_values_and_seeds_that_disagree_are_an_error() -> None:
    broken = two([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], seeds=[0, 1])
    with pytest.raises(
        UserError, match=r"sample/scores at scale laptop, row new: 3 values of accuracy for the seeds \[0, 1\]"
    ):
        decide(claim("better"), broken)
    with pytest.raises(UserError, match=r"seeds \[0, 1, 1\]"):
        decide(claim("better"), two([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], seeds=[0, 1, 1]))

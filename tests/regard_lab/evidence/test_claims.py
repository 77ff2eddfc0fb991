from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard_lab.common.errors import UserError
from regard_lab.common.formatting import Key
from regard_lab.evidence.claims import Verdict, headline, judge
from regard_lab.evidence.paper import Claim
from regard_lab.experiment.results import Result
from tests.regard_lab.samples import result, row

NEW: Key = {"attention": "new"}
OLD: Key = {"attention": "old"}


def claim(check: str, **more: Any) -> Claim:
    against = OLD if check in ("equivalence", "better") else None
    said = {"id": "c", "kind": "experiment", "group": "g", "says": "s", "source": "a", "check": check}
    return Claim(**{**said, "table": "scores", "metric": "accuracy", "row": NEW, "against": against, **more})


def two(new: list[float], old: list[float], **more: Any) -> Result:
    return result(row(NEW, {"accuracy": new}, **more), row(OLD, {"accuracy": old}))


def decide(one: Claim, evidence: Result) -> Verdict:
    (verdict,) = judge(one, {"laptop": evidence})
    return verdict


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
    assert "new − old = +0.20 points, 90 % interval [" in verdict.sentence
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
        ({"least": 4.0, "up_to": True}, "undecided"),
        ({"least": 1.0, "up_to": True}, "holds"),
        ({"direction": "lower"}, "fails"),
        ({"relative": True, "least": 3.0}, "undecided"),
        ({"relative": True, "least": 5.0}, "fails"),
        ({"relative": True, "direction": "lower"}, "fails"),
    ],
)
def test_better(more: dict[str, Any], word: str) -> None:
    # gains of 1.9, 2.0 and 2.1 points over 70: 2.71 to 3.0 %
    assert decide(claim("better", **more), two([71.9, 72.0, 72.1], [70.0, 70.0, 70.0])).verdict == word


def test_lower_is_better_relative() -> None:
    verdict = decide(
        claim("better", direction="lower", relative=True, least=5), two([9.0, 9.1, 8.9], [10.0, 10.0, 10.0])
    )
    assert verdict.verdict == "holds"
    assert verdict.statistic["estimate"] == pytest.approx(10)
    assert "Relative gain of new over old +10" in verdict.sentence


def test_equal_is_not_better() -> None:
    assert decide(claim("better"), two([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])).verdict == "fails"


def test_relative_gain_over_nothing() -> None:
    assert "does not exist" in decide(claim("better", relative=True), two([1.0, 2.0, 3.0], [0.0, 2.0, 3.0])).sentence


def test_a_best_case_is_not_refuted_and_says_so() -> None:
    verdict = decide(claim("better", least=4.0, up_to=True), two([71.9, 72.0, 72.1], [70.0, 70.0, 70.0]))
    assert verdict.sentence.endswith("this table alone cannot refute it.")


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
    return claim("formula", **{"metric": "parameters", **more})


@pytest.mark.parametrize(
    ("values", "more", "word"),
    [
        ([3168.0], {"equals": "2 * (w**2 + w) + l**2 + l", "constants": {"w": 32, "l": 32}}, "holds"),
        ([3169.0], {"equals": "2 * (w**2 + w) + l**2 + l", "constants": {"w": 32, "l": 32}}, "fails"),
        ([3168.0], {"equals": "3 / 4", "against": OLD}, "holds"),
        ([3168.0], {"equals": "1 / 2", "against": OLD}, "fails"),
        ([100.0, 101.0, 99.0], {"equals": "100", "tolerance": 0.02}, "holds"),
        ([100.0, 101.0, 99.0], {"equals": "100"}, "undecided"),
        ([104.0, 108.0, 103.0], {"equals": "100", "tolerance": 0.02}, "undecided"),
        ([110.0, 110.5, 109.5], {"equals": "100", "tolerance": 0.02}, "fails"),
        ([90.0, 110.0], {"equals": "100", "tolerance": 0.02}, "undecided"),
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
    assert verdict.sentence == "Parameters of new, width 8, causal yes is 256; 4 * width**2 = 256."
    assert verdict.statistic["expected"] == 256


def test_formula_over_nothing() -> None:
    evidence = result(row(NEW, {"parameters": [1.0]}), row(OLD, {"parameters": [0.0]}))
    assert decide(formula(equals="1", against=OLD), evidence).verdict == "undecided"


def lengths(per_length: dict[int, list[float]]) -> Result:
    lines = [row({"attention": "new", "length": n}, {"accuracy": values}, unit="s") for n, values in per_length.items()]
    return result(*reversed(lines), row({"attention": "old", "length": 1}, {"accuracy": [0.0] * 3}))


@pytest.mark.parametrize(
    ("per_length", "more", "word"),
    [
        ({1: [1.0, 1.1, 1.2], 2: [2.0, 2.1, 2.2], 4: [3.0, 3.1, 3.2]}, {}, "holds"),
        ({1: [1.0, 1.1, 1.2], 2: [2.0, 2.1, 2.2], 4: [3.0, 3.1, 3.2]}, {"direction": "lower"}, "fails"),
        ({1: [1.0, 1.1, 1.2], 2: [2.0, 2.1, 2.2], 4: [1.0, 1.1, 1.2]}, {}, "fails"),
        ({1: [1.0, 1.1, 1.2], 2: [2.0, 2.1, 2.2], 4: [1.5, 2.5, 2.0]}, {}, "undecided"),
        ({1: [1.0, 1.1, 1.2], 2: [0.9, 1.0, 1.1]}, {"tolerance": 0.2}, "holds"),
        ({1: [1.0, 1.0, 1.0], 2: [1.0, 1.0, 1.0]}, {}, "holds"),
        ({1: [1.0, 1.0, 1.0]}, {}, "not run"),
    ],
)
def test_monotone(per_length: dict[int, list[float]], more: dict[str, Any], word: str) -> None:
    assert decide(claim("monotone", over="length", **more), lengths(per_length)).verdict == word


def test_monotone_along_named_rows() -> None:
    verdict = decide(claim("monotone", row={}, rows=(OLD, NEW)), two([5.0, 6.0, 7.0], [4.0, 5.0, 6.1]))
    assert verdict.verdict == "holds"
    assert verdict.sentence.startswith("Weakest of 1 steps: old to new, rise +0.97 points")


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
        ({"at_least": 2.0, "up_to": True}, "undecided"),
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
        "Accuracy of new is 1.50 ×, 95 % interval [1.25, 1.75] ×, claimed at least 1 and at most 2"
    )


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


def test_quick_never_decides() -> None:
    evidence = replace(two([9.0, 9.1, 9.2], [1.0, 1.1, 1.2]), scale="quick")
    (verdict,) = judge(claim("better"), {"quick": evidence})
    assert (verdict.verdict, verdict.scale) == ("not run", None)
    assert "quick results only" in verdict.sentence
    assert judge(claim("better"), {})[0].sentence == "Table scores has not been run."


def test_paper_comes_before_laptop_and_both_are_shown() -> None:
    good, bad = two([9.0, 9.1, 9.2], [1.0, 1.1, 1.2]), two([1.0, 1.1, 1.2], [9.0, 9.1, 9.2])
    verdicts = judge(claim("better"), {"quick": bad, "laptop": bad, "paper": good}, stale={"laptop"})
    assert [(one.scale, one.verdict, one.stale) for one in verdicts] == [
        ("paper", "holds", False),
        ("laptop", "fails", True),
    ]
    assert headline(verdicts).scale == "paper"


def test_the_headline_rests_on_evidence() -> None:
    verdicts = judge(claim("better"), {"paper": result(), "laptop": two([9.0, 9.1, 9.2], [1.0, 1.1, 1.2])})
    assert [one.verdict for one in verdicts] == ["not run", "holds"]
    assert headline(verdicts).scale == "laptop"
    assert headline(verdicts[:1]).verdict == "not run"

from dataclasses import replace

from regard_lab.evidence.claims import headline, judge
from tests.regard_lab.evidence.claim_samples import claim, two
from tests.regard_lab.samples import result


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

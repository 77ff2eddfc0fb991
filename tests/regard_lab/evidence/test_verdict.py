from regard_lab.evidence.paper import Claim, Group
from regard_lab.evidence.verdict import GROUP_WORDS, WORDS, GroupVerdict, Ledger, Member, Verdict


def member(name: str, *verdicts: Verdict) -> Member:
    return Member(Claim(name, "experiment", "g", "s", "a", "better", "t", "m"), list(verdicts))


def test_the_headline_is_the_first_verdict_with_evidence() -> None:
    one = member("c", Verdict("not run", "no"), Verdict("gated", "behind"), Verdict("holds", "yes"))
    assert one.headline.sentence == "behind"
    assert member("c", Verdict("not run", "no")).headline.verdict == "not run"


def test_a_ledger_counts_groups_by_kind_and_finds_a_claim() -> None:
    words = dict.fromkeys(WORDS, 0)
    held = GroupVerdict(Group("g", "s", "experiment"), "holds", "", [member("c", Verdict("holds", "yes"))], words, 1)
    mixed = GroupVerdict(Group("h", "s", "timing"), "mixed", "", [member("d", Verdict("fails", "no"))], words, 1)
    ledger = Ledger([held, mixed], 0, 0, 0)
    assert ledger.by_kind() == {
        "experiment": dict.fromkeys(GROUP_WORDS, 0) | {"holds": 1},
        "timing": dict.fromkeys(GROUP_WORDS, 0) | {"mixed": 1},
    }
    assert ledger.verdict("d").sentence == "no"

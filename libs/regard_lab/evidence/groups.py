"""From verdicts on claims to verdicts on sentences: corrections for many tests, and what a group's members say together.

A sentence that claims something about all its members (`rule: all`) holds if each of them holds, which needs no
correction (Berger 1982), and fails if one fails after Holm's correction; if others hold, it is `mixed`. A sentence that
claims a best case (`rule: any`) holds if one member holds after Holm's correction, and fails if each fails. Members
that are gated or were not run leave it undecided, unless the others settle it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from scipy import stats

from regard_lab.evidence.paper import Group, Paper
from regard_lab.evidence.statistics import holm
from regard_lab.evidence.verdict import (
    WORDS,
    Correction,
    GroupVerdict,
    GroupWord,
    Ledger,
    Member,
    Verdict,
    Word,
)

FALSE_DISCOVERIES = 0.05  # of the verdicts that survive over a paper, at most this share is expected to be wrong


def judge_groups(paper: Paper, verdicts: Mapping[str, list[Verdict]]) -> Ledger:
    """The ledger of a paper.

    Args:
        paper: Its groups and claims.
        verdicts: The verdicts on each claim, by its id, as `claims.judge` gives them.

    Returns:
        Each group with its members' verdicts, which have their corrections.
    """
    members = {
        group.name: [Member(claim, list(verdicts[claim.id])) for claim in paper.claims if claim.group == group.name]
        for group in paper.groups
    }
    tested = {
        name: [member for member in group if member.headline.test is not None and _judged(member.headline)]
        for name, group in members.items()
    }
    ps = [_p(member) for group in tested.values() for member in group]
    discovery = iter(float(q) for q in stats.false_discovery_control(ps)) if ps else iter(())
    corrections: dict[str, Correction] = {}
    for group in tested.values():
        for member, adjusted in zip(group, holm([_p(member) for member in group]), strict=True):
            fdr = next(discovery)
            survives = member.headline.verdict != "undecided" and fdr <= FALSE_DISCOVERIES
            corrections[member.claim.id] = Correction(adjusted, fdr, len(group), len(ps), survives)
    groups = []
    for one in paper.groups:
        groups.append(
            _group(one, [_corrected(member, corrections.get(member.claim.id)) for member in members[one.name]])
        )
    decided = [
        member.headline for group in tested.values() for member in group if member.headline.verdict != "undecided"
    ]
    survivors = sum(correction.survives for correction in corrections.values())
    return Ledger(groups, len(ps), len(decided), survivors)


def _judged(verdict: Verdict) -> bool:
    return verdict.verdict in ("holds", "fails", "undecided")


def _p(member: Member) -> float:
    test = member.headline.test
    assert test is not None
    return test.p


def _corrected(member: Member, correction: Correction | None) -> Member:
    head = member.headline
    return Member(
        member.claim, [replace(one, correction=correction) if one is head else one for one in member.verdicts]
    )


def _stands(verdict: Verdict) -> Word:
    """The verdict after Holm's correction within the group."""
    if verdict.test is None or verdict.correction is None:
        return verdict.verdict
    return verdict.verdict if verdict.correction.holm <= verdict.test.level else "undecided"


def _group(group: Group, members: list[Member]) -> GroupVerdict:
    heads = [member.headline for member in members]
    raw = [head.verdict for head in heads]
    standing = [_stands(head) for head in heads]
    counts = {word: raw.count(word) for word in WORDS}
    tested = sum(word in ("holds", "fails", "undecided") for word in raw)
    return GroupVerdict(
        group, _word(group, raw, standing), _sentence(group, members, counts, tested), members, counts, tested
    )


def _word(group: Group, raw: Sequence[Word], standing: Sequence[Word]) -> GroupWord:
    if all(word in ("gated", "not run") for word in raw):
        return "gated" if "gated" in raw else "not run"
    if group.rule == "any":
        return "holds" if "holds" in standing else "fails" if all(word == "fails" for word in raw) else "undecided"
    if all(word == "holds" for word in raw):
        return "holds"
    if "fails" in standing:
        return "mixed" if "holds" in standing else "fails"
    return "undecided"


def _sentence(group: Group, members: Sequence[Member], counts: Mapping[Word, int], tested: int) -> str:
    rest = [f"{counts[word]} {word}" for word in WORDS[3:] if counts[word]]
    of = f"{tested} tested" if rest else str(tested)
    if tested == 0:
        said = "not tested"
    elif group.rule == "any":
        said = f"reached in {counts['holds'] or 'none'} of {of}, not reached in {counts['fails']}"
        said += f", open in {counts['undecided']}" if counts["undecided"] else ""
    else:
        words = [f"{word} in {counts[word]}" for word in ("holds", "fails") if counts[word]]
        words += [f"open in {counts['undecided']}"] if counts["undecided"] else []
        said = f"{words[0]} of {of}" + "".join(f", {word}" for word in words[1:])
    tail = f"; {', '.join(rest)}" if rest else ""
    failing = [member.claim.id for member in members if member.headline.verdict == "fails"]
    named = f" (fails: {', '.join(failing)})" if failing and len(members) > 1 and group.rule == "all" else ""
    return f"{said[:1].upper()}{said[1:]}{named}{tail}."

"""Does a claim hold? What the evidence of a table says about it at each scale that can decide.

*holds*: the interval shown lies inside what the claim allows. *fails*: it lies wholly outside, so the evidence is
against the claim. *undecided*: neither, or fewer than three seeds, or a row that is incomplete. *gated*: the table has
not passed its gate (`evidence.gate`), so nothing is concluded from its rows. *not run*: there is no evidence at all.
`quick` results decide nothing; results at `paper` scale are the best evidence, then `laptop`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from regard_lab.evidence.checks import CHECKS, Short
from regard_lab.evidence.gate import Judgement
from regard_lab.evidence.paper import Claim
from regard_lab.evidence.verdict import WORDS, Verdict, Word
from regard_lab.experiment.results import DECIDING, Result, Scale

__all__ = ["WORDS", "Verdict", "Word", "headline", "judge"]


def judge(
    claim: Claim,
    results: Mapping[Scale, Result],
    stale: Collection[Scale] = (),
    judgements: Mapping[Scale, Judgement] | None = None,
) -> list[Verdict]:
    """A verdict for each scale that decides and has results, best evidence first.

    Args:
        claim: What to decide.
        results: The claim's table at each scale at which it has been run.
        stale: Scales whose result does not come from the current code.
        judgements: The gate's judgement of each result; left out for a table that trains nothing.

    Returns:
        At least one verdict.
    """
    verdicts = [
        replace(
            _behind((judgements or {}).get(scale), claim, _decide(claim, results[scale])),
            scale=scale,
            stale=scale in stale,
        )
        for scale in DECIDING
        if scale in results
    ]
    if verdicts:
        return verdicts
    if "quick" in results:
        return [
            Verdict("not run", f"Table {claim.table} has quick results only; they show mechanics and decide nothing.")
        ]
    return [Verdict("not run", f"Table {claim.table} has not been run.")]


def headline(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on the claim: the first that is based on evidence."""
    return next((verdict for verdict in verdicts if verdict.verdict != "not run"), verdicts[0])


def _decide(claim: Claim, result: Result) -> Verdict:
    try:
        return CHECKS[claim.check](claim, result)
    except Short as short:
        return Verdict(short.verdict, str(short))


def _behind(judgement: Judgement | None, claim: Claim, verdict: Verdict) -> Verdict:
    """The verdict, or `gated` with the reason where the claim's problem has not passed the gate."""
    if judgement is None or verdict.verdict == "not run":
        return verdict
    problem = judgement.of(claim.row or (claim.rows[0] if claim.rows else {}), claim.metric)
    if problem is None or problem.status == "passed":
        return verdict
    sentence = f"Not judged, {problem.status}: {problem.sentence}. What was measured: {verdict.sentence}"
    return replace(verdict, verdict="gated", sentence=sentence, need=None)

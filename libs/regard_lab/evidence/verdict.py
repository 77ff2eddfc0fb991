"""Verdicts on claims and on the sentences to which they belong: the words, and the evidence behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from regard_lab.evidence.paper import Claim, Group, Kind
from regard_lab.experiment.results import Scale

Word = Literal["holds", "fails", "undecided", "gated", "not run"]
WORDS: tuple[Word, ...] = ("holds", "fails", "undecided", "gated", "not run")
GroupWord = Literal["holds", "mixed", "fails", "undecided", "gated", "not run"]
GROUP_WORDS: tuple[GroupWord, ...] = ("holds", "mixed", "fails", "undecided", "gated", "not run")


@dataclass(frozen=True)
class Test:
    """The test that decided, or could not.

    Attributes:
        name: "two one-sided tests", "two-sided interval", "slope", "rank".
        p: The p of the verdict to which the data point: the claim is decided if `p` is at most `level`, which is
            exactly when the interval shown decides.
        level: The level of the test.
    """

    __test__ = False  # pytest: this is no test case

    name: str
    p: float
    level: float


@dataclass(frozen=True)
class Correction:
    """The result of a test after correction for multiple testing.

    Attributes:
        holm: p adjusted for the members of the group (Holm 1979).
        fdr: p adjusted for all tests of the paper (Benjamini and Hochberg 1995).
        in_group: How many members of the group were tested.
        in_paper: How many tests the paper had.
        survives: Does a decided verdict survive at a false discovery rate of 5 % over the paper?
    """

    holm: float
    fdr: float
    in_group: int
    in_paper: int
    survives: bool


@dataclass(frozen=True)
class Need:
    """What would decide an undecided claim, estimated from the observed spread.

    Attributes:
        power: The power of this test with the available seeds, if the true value is `truth`.
        truth: The true value assumed: no difference for an equivalence, otherwise the observed value.
        seeds: How many seeds give a power of 80 %; `None` if not even the largest number tried does.
        items: How many test items give it with the available seeds; `None` if items are not kept, or if more of them
            would not help.
        hours: The hours that the missing seeds would take on the machine that ran the others; `None` if that is not
            recorded.
        sentence: The same in words.
    """

    power: float
    truth: float
    seeds: int | None
    items: int | None
    hours: float | None
    sentence: str


@dataclass(frozen=True)
class Verdict:
    """What the evidence at one scale says about a claim. `stale`: the result does not come from the current code.

    `statistic` has `estimate`, and where there is an interval `low`, `high`, `confidence` and `n`; it is the interval
    that decided. `test`, `correction` and `need` are `None` where nothing was drawn at random, or nothing was tested.
    """

    verdict: Word
    sentence: str
    statistic: dict[str, Any] = field(default_factory=dict)
    scale: Scale | None = None
    stale: bool = False
    test: Test | None = None
    correction: Correction | None = None
    need: Need | None = None


@dataclass(frozen=True)
class Member:
    """A claim of a group with its verdicts, best evidence first."""

    claim: Claim
    verdicts: list[Verdict]

    @property
    def headline(self) -> Verdict:
        """The first verdict that is based on evidence."""
        return next((verdict for verdict in self.verdicts if verdict.verdict != "not run"), self.verdicts[0])


@dataclass(frozen=True)
class GroupVerdict:
    """What the members of a group together say about its sentence.

    Attributes:
        group: The sentence.
        verdict: `mixed` if it holds for some members and fails for others.
        sentence: In how many members it holds, fails or is open, of how many that were tested.
        members: The claims.
        counts: How many members have each verdict.
        tested: How many members were tested, or decided without a test.
    """

    group: Group
    verdict: GroupWord
    sentence: str
    members: list[Member]
    counts: dict[Word, int]
    tested: int


@dataclass(frozen=True)
class Ledger:
    """All groups of a paper. `tests`: how many members had a test; `decided`, `survivors`: of how many it decided, and how many of these survive."""

    groups: list[GroupVerdict]
    tests: int
    decided: int
    survivors: int

    def by_kind(self) -> Mapping[Kind, dict[GroupWord, int]]:
        """How many groups of each kind have each verdict. The headline is `by_kind()["experiment"]`."""
        kinds: dict[Kind, dict[GroupWord, int]] = {}
        for group in self.groups:
            words = kinds.setdefault(group.group.kind, dict.fromkeys(GROUP_WORDS, 0))
            words[group.verdict] += 1
        return kinds

    def verdict(self, claim: str) -> Verdict:
        """The headline of a claim, by its id."""
        return next(member.headline for group in self.groups for member in group.members if member.claim.id == claim)

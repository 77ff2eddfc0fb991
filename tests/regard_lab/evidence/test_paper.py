from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.evidence.paper import Group, Paper, load_paper, papers
from tests.paths import ROOT

PAPER = """
title: A sample
authors: [A. Nobody]
year: 2024
arxiv: "0000.00001"
summary: One line.
tables: []
other_tables: [scores]
not_reproduced:
  - {what: table 2, why: no data}
"""
TABLE = """
title: Scores
source: table 1
columns:
  accuracy: {label: accuracy, unit: "%", digits: 1}
  memory: {label: memory, unit: MiB}
published:
  - {row: {attention: dense, length: 1}, values: {accuracy: 70}}
  - {row: {attention: dense, length: 2}, values: {memory: null}}
  - {row: {attention: fast}, values: {accuracy: 71}, approximate: true, sources: {accuracy: a reader}}
"""
CLAIM = "{id: c, kind: experiment, group: g, says: s, source: abstract, metric: accuracy, "
EQUIVALENCE = (
    CLAIM + "check: equivalence, row: {attention: fast}, against: {attention: dense, length: 1}, margin: 1, reason: r"
)
FORMULA = CLAIM.replace("experiment", "arithmetic") + "check: formula, row: {attention: dense, length: 2}, "


GROUPS = "groups:\n  g: {says: s}\n"


def load(tmp_path: Path, paper: str = PAPER, table: str = TABLE, claims: str = "", groups: str = GROUPS) -> Paper:
    project = tmp_path / "projects" / "sample"
    (project / "tables").mkdir(parents=True, exist_ok=True)
    (project / "paper.yaml").write_text(paper + groups * bool(claims))
    (project / "tables" / "scores.yaml").write_text(table + (f"claims:\n- {claims}\n" if claims else ""))
    return load_paper(project)


def test_a_paper_is_read(tmp_path: Path) -> None:
    paper = load(tmp_path, claims=EQUIVALENCE + "}")
    assert papers(tmp_path) == [paper]
    table = paper.tables["scores"]
    assert [column.name for column in table.columns] == ["accuracy", "memory"]
    dense = table.row({"attention": "dense", "length": 1})
    assert dense is not None
    assert dense.values == {"accuracy": 70, "memory": None}
    fast = table.row({"attention": "fast"})
    assert fast is not None
    assert (fast.sources, fast.approximate) == ({"accuracy": "a reader"}, {"accuracy"})
    assert table.row({"attention": "other"}) is None
    assert table.column("speed") is None
    assert paper.not_reproduced == (("table 2", "no data"),)
    assert paper.claims[0].margin == 1


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("title: A", "tilte: A", r"paper\.yaml: top level: unknown key 'tilte'.*Did you mean 'title'"),
        (
            "accuracy: 70",
            "acuracy: 70",
            r"scores\.yaml: published\[0\]\.values\.acuracy: there is no column.*'accuracy'",
        ),
        ("length: 2}", "length: 1}", r"published\[1\]: the row dense, length 1 occurs twice"),
        ("accuracy: 70", 'accuracy: "70"', r"published\[0\]\.values\.accuracy: expected a finite number, got '70'"),
        ('"0000.00001"', "0000.00001", r"arxiv: expected words.*needs quotes"),
        (
            "approximate: true",
            "approximate: [memory]",
            "'memory' has a source or is called approximate, but has no value",
        ),
        ("unit: MiB", "unit: 1", r"columns\.memory\.unit: a unit is words"),
        ("year: 2024", "year: soon", "expected a whole number"),
        ("tables: []", "tables: [scores]", r"tables: 'scores' occurs twice"),
        ("tables: []", "tables: [score]", r"sample/tables/score\.yaml does not exist"),
        ("other_tables: [scores]", "", r"tables/scores\.yaml is not listed here"),
        ("tables: []\nother_tables: [scores]", "tables: [scores]", r"tables/scores\.yaml says nothing to run"),
        ("other_tables: [scores]", "other_tables: [scores]\ngroups: {g: {says: s}}", r"groups\.g: no claim belongs"),
        ("why: no data", "because: no data", r"not_reproduced\[0\]: unknown key 'because'"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in PAPER + TABLE
    with pytest.raises(UserError, match=complaint):
        load(tmp_path, PAPER.replace(old, new), TABLE.replace(old, new))


@pytest.mark.parametrize(
    ("claim", "complaint"),
    [
        (CLAIM + "row: {attention: fast}}", "key 'check' is missing"),
        (EQUIVALENCE.replace("equivalence", "equivalense") + "}", "Did you mean 'equivalence'"),
        (EQUIVALENCE + ", least: 1}", "unknown key 'least'"),
        (EQUIVALENCE.replace(", margin: 1", "") + "}", "'margin' is missing"),
        (EQUIVALENCE.replace("margin: 1", "margin: 0") + "}", "a margin is positive, got 0"),
        (EQUIVALENCE.replace("metric: accuracy", "metric: acuracy") + "}", "no column 'acuracy'"),
        (EQUIVALENCE.replace("length: 1", "length: 9") + "}", "has no row {'attention': 'dense', 'length': 9}"),
        (EQUIVALENCE.replace("attention: fast", "attention: fats") + "}", "has no row {'attention': 'fats'}"),
        (EQUIVALENCE + "}\n- " + EQUIVALENCE + "}", r"\[1\]: the claim 'c' occurs twice"),
        (
            CLAIM + "check: better, row: {attention: fast}, against: {attention: fast}, relative: true, paired: false}",
            "has to be paired",
        ),
        (FORMULA + "equals: 2 * lenght}", "uses 'lenght'.*Did you mean 'length'"),
        (FORMULA + "equals: accuracy}", "uses 'accuracy'"),
        (FORMULA + "equals: exec(1)}", "Call is not allowed"),
        (FORMULA + "equals: length, constants: {length: 2}}", "the constant 'length' is also a column"),
        (CLAIM + "check: trend, row: {attention: dense}}", "key 'over' is missing"),
        (CLAIM + "check: trend, over: length}", "needs either at least two `rows`"),
        (CLAIM + "check: trend, over: length, rows: [{attention: fast}]}", "needs either at least two `rows`"),
        (CLAIM + "check: trend, row: {attention: fast}, over: length}", "there are 0"),
        (
            CLAIM + "check: trend, rows: [{attention: fast}, {attention: dense, length: 1}], over: length}",
            "'length' is neither a part of every row's key nor a column",
        ),
        (CLAIM + "check: ranks, row: {attention: fast}}", "needs `at_least`, `at_most` or both"),
        (
            CLAIM + "check: ranks, row: {attention: fast}, among: {length: 1}, at_most: 1}",
            "the row {'attention': 'fast'} is not among {'length': 1}",
        ),
        (
            CLAIM + "check: bound, row: {attention: fast}, control: {attention: old}, at_most: 1}",
            "has no row {'attention': 'old'}",
        ),
        (
            CLAIM.replace("experiment", "arithmetic") + EQUIVALENCE.removeprefix(CLAIM) + "}",
            "needs chance, but the kind is arithmetic",
        ),
        (
            CLAIM.replace("experiment", "timing") + "check: formula, row: {attention: fast}, equals: 2 * 2}",
            "a formula is exact",
        ),
        (CLAIM + "check: exponent, row: {attention: dense}, over: length, at_most: 2}", "needs 3 rows.*there are 2"),
        (CLAIM + "check: exponent, row: {attention: dense}, over: length}", "needs `at_least`, `at_most` or both"),
        (CLAIM + "check: bound, row: {attention: fast}}", "needs `at_least`, `at_most` or both"),
        (CLAIM + "check: bound, row: {attention: fast}, at_least: 2, at_most: 1}", "at_least 2 is above at_most 1"),
    ],
)
def test_a_claim_that_cannot_be_checked_is_refused(tmp_path: Path, claim: str, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        load(tmp_path, claims=claim)


def test_claims_belong_to_groups_of_one_kind_and_stand_in_their_order(tmp_path: Path) -> None:
    claim = EQUIVALENCE + "}"
    second = claim.replace("id: c", "id: d").replace("group: g", "group: h").replace("kind: experiment", "kind: timing")
    both = GROUPS.replace("  g:", "  h: {says: t, rule: any, ours: true}\n  g:")
    paper = load(tmp_path, claims=claim + "\n- " + second, groups=both)
    assert [one.id for one in paper.claims] == ["d", "c"]
    assert paper.groups == (Group("h", "t", "timing", "any", True), Group("g", "s", "experiment"))
    with pytest.raises(UserError, match=r"claims\[0\]: paper.yaml has no group 'g'"):
        load(tmp_path, claims=claim, groups="groups: {other: {says: s}}")
    with pytest.raises(UserError, match="the group 'g' has claims of kind 'experiment' and 'timing'"):
        load(tmp_path, claims=claim + "\n- " + second.replace("group: h", "group: g"))
    with pytest.raises(UserError, match=r"kind: .*'eksperiment'"):
        load(tmp_path, claims=claim.replace("experiment", "eksperiment"))


def test_an_input_decides_no_claim(tmp_path: Path) -> None:
    table = TABLE + "input: true\n"
    assert load(tmp_path, table=table).tables["scores"].input
    assert not load(tmp_path).tables["scores"].input
    with pytest.raises(UserError, match="'scores' is an input: nothing is run there"):
        load(tmp_path, table=table, claims=EQUIVALENCE + "}")


@pytest.mark.parametrize(
    "claim",
    [
        FORMULA + "equals: 2 * length + memory + c, constants: {c: 1}, tolerance: 0.1}",
        CLAIM + "check: trend, row: {attention: dense}, over: length, direction: lower, log: true}",
        CLAIM + "check: trend, rows: [{attention: fast}, {attention: dense, length: 1}], over: memory}",
        CLAIM + "check: better, row: {attention: fast}, against: {attention: dense, length: 1}, least: 3}",
        CLAIM + "check: bound, row: {attention: fast}, control: {attention: dense, length: 1}, at_least: 1}",
        CLAIM
        + "check: ranks, row: {attention: dense, length: 1}, among: {attention: dense}, without: [{length: 2}], at_most: 1}",
    ],
)
def test_a_claim_that_can_be_checked_is_read(tmp_path: Path, claim: str) -> None:
    assert len(load(tmp_path, claims=claim).claims) == 1


def test_every_shipped_paper_is_read() -> None:
    for path in ROOT.glob("projects/*/paper.yaml"):
        paper = load_paper(path.parent)
        assert paper.tables


def test_shipped_numbers_of_better_attention() -> None:
    """The only published cells that are known: four counts and one accuracy."""
    paper = load_paper(ROOT / "projects" / "better_attention")
    known = {
        (name, str(row.key["attention"]), column): value
        for name, table in paper.tables.items()
        for row in table.rows
        for column, value in row.values.items()
        if value is not None
    }
    counts = {"softmax": 4224, "optimised": 3168, "efficient": 2112, "super": 3168}
    assert known == {
        **{("imdb", attention, "attention_parameters"): count for attention, count in counts.items()},
        ("imdb", "super", "test_accuracy"): 78,
    }

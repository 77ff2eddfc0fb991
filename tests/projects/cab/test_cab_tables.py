"""The tables: every config composes, rows are the mechanisms that CAB compares, constants are taken as they should be, lengths by hand."""

from pathlib import Path

import pytest

from projects.cab import efficiency, patterns
from projects.cab.check import check
from projects.cab.config import NONE, PROJECT, modules_of, own_checksum
from projects.cab.freeze import constants_of
from projects.cab.tasks import MODULES, TABLES
from regard import cost
from regard.common.patterns import ALL_PATTERNS
from regard.registry import mechanism_class
from regard_lab.common.errors import UserError
from regard_lab.experiment.composition import compose
from regard_lab.experiment.results import Metric, Result, Row
from regard_lab.experiment.tables import load_table
from tests.configs import configs_of

ROOT = Path(__file__).resolve().parents[3]
SCALES = ("quick", "laptop", "paper")
SMALL = [name for name in PROJECT.tables(ROOT) if name != "index"]  # that one has the rows of all others


config_of = configs_of(PROJECT, default="experiment=certification")


def rows_of(table: str) -> list[dict]:
    return compose(PROJECT, ROOT, [f"table={table}", "scale=quick"]).spec.rows


def compared(pattern: str) -> set[str]:
    """The mechanisms that CAB compares (those of the table `patterns`) with a pattern; the library may have others."""
    return {name for row in rows_of("patterns") if pattern in mechanism_class(name := row["attention"]).patterns}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("table", ["lstf_self", "lm", "lstf_cross", "translation", "efficiency", "benefit"])
def test_every_scale_composes_and_passes_its_check(table, scale):
    config = config_of(f"table={table}", f"scale={scale}")
    check(config)
    seeds = compose(PROJECT, ROOT, [f"table={table}", f"scale={scale}"]).spec.seeds
    assert seeds == (1 if scale == "quick" else 3)


@pytest.mark.parametrize("table", ["published_causal_cross", "lstf_cross", "benefit"])
def test_a_table_loads_with_its_cells(table):
    loaded = load_table("cab", table, "quick", ROOT, check=True)
    assert len({cell.id for cell in loaded.cells}) == len(loaded.rows)


@pytest.mark.parametrize("pattern", ALL_PATTERNS)
def test_the_rows_of_a_task_are_the_compared_mechanisms_with_its_pattern(pattern):
    names = [row["attention"] for row in rows_of(TABLES[pattern])]
    assert set(names) == compared(pattern) | {NONE}
    assert len(names) == len(set(names))
    assert config_of(f"table={TABLES[pattern]}").pattern == pattern


def test_the_rows_of_index_and_efficiency_are_the_compared_mechanisms():
    pairs = {(row["attention"], row["pattern"]) for row in rows_of("index")}
    assert pairs == {(name, pattern) for pattern in ALL_PATTERNS for name in compared(pattern)}

    def grows_as_softmax(name: str) -> bool:
        few, many = (cost.score_entries(name, heads=1, n=n, **options(name, n)) for n in (4096, 8192))
        return many > 3.9 * few > 0

    def options(name: str, n: int) -> dict:
        return {"length": n} if name in ("super", "linformer") else {}

    linear = {name for name in compared("noncausal_self") if not grows_as_softmax(name)}
    assert {row["attention"] for row in rows_of("efficiency")} == linear


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("table=lm attention.name=lara", "'lara' does not have the pattern 'causal_self'"),
        ("table=lm attention.name=lokal", "Did you mean 'local'"),
        ("table=lm lm.context=63", "lm.context must be a multiple of 4, got 63"),
        ("table=lm lm.heads=3", "lm.heads must divide lm.width, got 3 and 32"),
        ("table=lm lm.fitting.epochs=0", "lm.fitting.epochs must be at least 1, got 0"),
        ("table=lm lm.fitting.learning_rate=0", "learning_rate must be positive"),
        ("table=lstf_self lstf.label_length=49", "got 49 and 48"),
        ("table=lstf_self lstf.dropout=1.0", "lstf.dropout must be at least 0 and below 1"),
        ("table=efficiency efficiency.lengths=[128,256]", "a parabola needs three lengths"),
        ("pattern=sideways", "pattern must be one of"),
    ],
)
def test_a_config_that_cannot_run_is_refused_with_the_numbers(override, message):
    with pytest.raises(ValueError, match=message):
        check(config_of(*override.split()))


def test_what_a_cell_reaches_by_name():
    assert modules_of(NONE) == ["regard.mechanisms.softmax"]
    assert modules_of("abc") == ["regard.mechanisms.softmax", "regard.mechanisms.abc"]
    assert modules_of("mine.py:Mine") == ["regard.mechanisms.softmax"]


def test_a_users_file_is_known_by_its_checksum(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("first")
    first = own_checksum("mine.py:Mine")
    assert config_of("attention.name=mine.py:Mine").attention.sha256 == first
    (tmp_path / "mine.py").write_text("second")
    assert own_checksum("mine.py:Mine") != first
    assert own_checksum("local") == ""
    assert own_checksum("projects.cab.index:Constant")
    with pytest.raises(UserError, match=r"there is no module 'yours\.py'"):
        own_checksum("yours.py:Mine")


def result_of(values: dict[str, list[float]], status: str = "ok") -> Result:
    rows = [
        Row({"attention": name}, {"perplexity": Metric.of(each, "")}, status, "", list(range(len(each))), [])
        for name, each in values.items()
    ]
    return Result("cab", "lm", "laptop", "", [], rows)


def test_constants_are_those_of_the_mechanisms_means_without_none():
    found = constants_of(result_of({"a": [1.0, 3.0], "b": [4.0, 4.0], "none": [100.0, 90.0]}), ("perplexity",))
    assert found["metrics"] == {"perplexity": {"mean": 3.0, "sd": pytest.approx(2**0.5)}}
    assert found["over"] == ["a", "b"]
    with pytest.raises(UserError, match="cab/lm at laptop lacks a, b: constants need every row"):
        constants_of(result_of({"a": [1.0], "b": [2.0]}, status="failed"), ("perplexity",))


def test_every_frozen_constant_is_a_metric_of_its_table():
    for scale in SCALES:
        for pattern in ALL_PATTERNS:
            constants = config_of("table=index", f"scale={scale}", f"pattern={pattern}").constants
            if constants is not None:
                assert tuple(constants) == MODULES[pattern].INDEX_METRICS
                assert all(each["sd"] > 0 for each in constants.values())


def test_a_crossing_by_hand():
    parabola = {n: float(n * n) for n in (1, 2, 4, 8)}
    line = {n: 3.0 * n + 4.0 for n in (1, 2, 4, 8)}
    assert efficiency.crossing(parabola, line) == pytest.approx(4.0)  # n² = 3 n + 4
    assert efficiency.crossing(parabola, {n: n - 10.0 for n in (1, 2, 4)}) == 0.0  # below it everywhere
    assert efficiency.crossing({n: -cost for n, cost in parabola.items()}, line) == efficiency.MOST
    assert efficiency.crossing(parabola, {n: 1e7 * n for n in (1, 2, 4)}) == efficiency.MOST
    assert efficiency.without_first({1: 5.0, 2: 6.0}) == {2: 6.0}


@pytest.mark.slow
def test_the_efficiency_cell_measures(tmp_path):
    config = config_of(
        "table=efficiency", "attention.name=local", "efficiency.lengths=[32,64,96]", "efficiency.repeats=1"
    )
    measured = efficiency.measure(config, tmp_path)
    assert all(value >= 0 for value in measured.metrics.values())
    assert measured.exhibits["lengths"] == [32, 64, 96]
    assert all(len(each) == 3 for each in measured.exhibits["time_ms"].values())


@pytest.mark.parametrize(("scale", "properties"), [("quick", 12), ("laptop", 13)])
def test_a_pattern_is_there_when_every_property_holds(scale, properties, tmp_path, monkeypatch):
    def some(passed: bool):
        def certify(name, options=None, properties=None):
            from regard.certification import Outcome

            return [Outcome("causal_self", "padding", True, ""), Outcome("causal_self", "causality", passed, "leaks")]

        return certify

    config = config_of("table=patterns", "attention.name=local", f"scale={scale}")
    monkeypatch.setattr(patterns, "certify", some(True))
    assert patterns.certified(config, tmp_path).metrics["causal_self"] == 1.0
    monkeypatch.setattr(patterns, "certify", some(False))
    metrics = patterns.certified(config, tmp_path)
    assert metrics.metrics == {**dict.fromkeys(ALL_PATTERNS, 0.0), "failures": 1.0, "properties": float(properties)}
    assert metrics.exhibits["failed"] == ["causal_self, causality: leaks"]

"""The configs: each composes at each scale and passes its check; rows are the mechanisms that CAB compares; what cannot run is refused."""

import pytest

from projects.cab.checks import check
from projects.cab.config import NONE, PROJECT, modules_of, own_checksum
from projects.cab.tasks.by_pattern import TASKS
from regard import cost
from regard.common.patterns import ALL_PATTERNS
from regard.registry import mechanism_class
from regard_lab.common.errors import UserError
from regard_lab.experiment.composition import compose
from regard_lab.experiment.results import SCALES
from regard_lab.experiment.tables import load_table
from tests.configs import configs_of
from tests.paths import ROOT

SMALL = [name for name in PROJECT.tables(ROOT) if name != "index"]  # that one has the rows of all others


config_of = configs_of(PROJECT, default="experiment=certification")


def rows_of(table: str) -> list[dict]:
    return compose(PROJECT, ROOT, [f"table={table}", "scale=quick"]).spec.rows


def compared(pattern: str) -> set[str]:
    """The mechanisms that CAB compares (those of the table `patterns`) with a pattern; the library may have others."""
    return {name for row in rows_of("patterns") if pattern in mechanism_class(name := row["attention"]).patterns}


TRAINED = (
    *(task.table for tasks in TASKS.values() for task in tasks),
    *("pcc_self", "lstf_self", "lstf_ett_self", "lstf_ett_cross"),
)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("table", [*TRAINED, "efficiency", "benefit"])
def test_every_scale_composes_and_passes_its_check(table, scale):
    config = config_of(f"table={table}", f"scale={scale}")
    check(config)
    seeds = compose(PROJECT, ROOT, [f"table={table}", f"scale={scale}"]).spec.seeds
    paper = 5 if table.startswith("lstf_ett") else 3  # as often as the paper repeats it
    assert seeds == {"quick": 1, "laptop": 3, "paper": paper}[scale]


def test_the_published_lengths_of_ett():
    """Known and given to the decoder, by set and features, as in the released scripts; 720 to come."""
    wanted = {"ETTh1 M": (336, 336), "ETTh1 S": (168, 168), "ETTh2 M": (720, 336), "ETTh2 S": (336, 336)}
    for scale in ("laptop", "paper"):
        for cell in load_table("cab", "lstf_ett_cross", scale, ROOT).cells:
            task = cell.config["lstf"]
            assert (task["length"], task["label_length"]) == wanted[cell.key["problem"]]
            assert (task["horizon"], task["encoder_layers"], task["decoder_layers"]) == (720, 2, 1)
            assert (task["target"] == "OT") is (task["features"] == "S")
            assert cell.config["data"]["source"] == "folder"


@pytest.mark.parametrize("table", ["published_causal_cross", "lstf_cross", "benefit"])
def test_a_table_loads_with_its_cells(table):
    loaded = load_table("cab", table, "quick", ROOT, check=True)
    assert len({cell.id for cell in loaded.cells}) == len(loaded.rows)


@pytest.mark.parametrize("pattern", ALL_PATTERNS)
def test_the_rows_of_a_task_are_the_compared_mechanisms_with_its_pattern(pattern):
    for task in TASKS[pattern]:
        rows = rows_of(task.table)
        assert {row["attention"] for row in rows} == compared(pattern) | {NONE}
        assert {row["attention"] for row in rows if task.counts(row)} == compared(pattern)
        assert config_of(f"table={task.table}").pattern == pattern


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
        ("table=lm lm.context=63", "lm.context must be a multiple of 8, got 63"),
        ("table=sr attention.name=nothing_like_it", "nothing_like_it"),
        ("table=lstf_self lstf.features=S", "lstf.target names the one series of features S, got S and None"),
        ("table=mlm mlm.masked=1.0", "mlm.masked must be less than 1, got 1.0"),
        ("table=lm lm.heads=3", "lm.heads must divide lm.width, got 3 and 32"),
        ("table=lm lm.training.epochs=0", "lm.training.epochs must be greater than 0, got 0"),
        ("table=lm lm.training.learning_rate=0", "lm.training.learning_rate must be greater than 0, got 0"),
        ("table=lstf_self lstf.label_length=49", "got 49 and 48"),
        ("table=lstf_self lstf.dropout=1.0", "lstf.dropout must be less than 1, got 1.0"),
        ("table=efficiency efficiency.lengths=[128]", "a crossing needs two lengths"),
        ("pattern=sideways", "pattern must be 'noncausal_self', .*, got 'sideways'"),
    ],
)
def test_a_config_that_cannot_run_is_refused_with_the_numbers(override, message):
    with pytest.raises((ValueError, UserError), match=message):
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
    assert own_checksum("projects.cab.analyses.z_scores:Constant")
    with pytest.raises(UserError, match=r"there is no module 'yours\.py'"):
        own_checksum("yours.py:Mine")

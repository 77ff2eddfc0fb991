"""A table's file: rows as products, what a row sets, columns, and complaints that name the file and the place."""

import math
from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.common.formatting import Key
from regard_lab.experiment.experiment_file import read_experiment
from regard_lab.experiment.table_file import Reference, SharedItems, TableFile, read_table

TABLE = """
title: Heads
source: ours
experiment: base
seeds: {quick: 1, laptop: 20, paper: 5}
rows: {heads: [1, 2], attention: [softmax, super]}
sets: {attention: model.attention, heads: model.heads}
columns:
  accuracy: {label: accuracy, unit: "%", digits: 1}
  loss: {unit: nats}
  cola: {label: CoLA, unit: "%", scales: [paper]}
"""
BASE = "run: a:b\ndata_sets: {imdb: null}\nmodel: {attention: softmax, heads: 4, width: 8}\n"


def read(project: Path, text: str = TABLE, **experiments: str) -> TableFile:
    for folder in ("tables", "experiments"):
        (project / folder).mkdir(exist_ok=True)
    (project / "columns.yaml").write_text('shared: {accuracy: {label: accuracy, unit: "%"}}')
    (project / "tables" / "heads.yaml").write_text(text)
    for name, content in {"base": BASE, **experiments}.items():
        (project / "experiments" / f"{name}.yaml").write_text(content)
    return read_table(project, "heads")


def rows(project: Path, text: str, sets: str = "{a: model.a, b: model.b, c: model.c}") -> list[Key]:
    table = TABLE.replace("rows: {heads: [1, 2], attention: [softmax, super]}", f"rows: {text}")
    table = table.replace("sets: {attention: model.attention, heads: model.heads}", f"sets: {sets}")
    return read(project, table).to_run().rows["quick"]


def test_a_table_is_read(tmp_path: Path) -> None:
    file = read(tmp_path)
    spec = file.spec(tmp_path, "laptop")
    assert (spec.run, spec.seeds, spec.data_sets, spec.workers) == ("a:b", 20, {"imdb": None}, None)
    assert spec.metrics == {"accuracy": "%", "loss": "nats"}
    assert file.metrics["paper"] == {"accuracy": "%", "loss": "nats", "cola": "%"}
    assert [column.name for column in file.columns] == ["accuracy", "cola"]


def test_the_last_part_varies_fastest_and_keys_are_in_the_order_of_sets(tmp_path: Path) -> None:
    found = read(tmp_path).to_run().rows["quick"]
    assert [list(row.items()) for row in found[:3]] == [
        [("attention", "softmax"), ("heads", 1)],
        [("attention", "super"), ("heads", 1)],
        [("attention", "softmax"), ("heads", 2)],
    ]


def test_products_are_joined_and_nested(tmp_path: Path) -> None:
    assert rows(tmp_path, "[{a: 1}, {a: 2, b: [x, y]}]") == [{"a": 1}, {"a": 2, "b": "x"}, {"a": 2, "b": "y"}]
    nested = rows(tmp_path, "{a: [1, 2], each: [{b: x}, {b: y, c: [true, false]}]}")
    assert [(row["a"], row["b"], row.get("c")) for row in nested] == [
        (1, "x", None), (1, "y", True), (1, "y", False), (2, "x", None), (2, "y", True), (2, "y", False)
    ]  # fmt: skip


def test_rows_may_differ_by_scale(tmp_path: Path) -> None:
    file = read(tmp_path, TABLE.replace("rows: {", "rows:\n  quick: {heads: 4}\n  laptop: {heads: 8}\n  paper: {"))
    runs = file.to_run()
    assert (runs.rows["quick"], runs.rows["laptop"], len(runs.rows["paper"])) == ([{"heads": 4}], [{"heads": 8}], 4)
    assert file.rows[0] == {"heads": 8}
    assert len(file.rows) == 6


def test_a_row_sets_values_or_stands_for_several(tmp_path: Path) -> None:
    several = "sets: {attention: {softmax: {model: {attention: softmax, heads: 1}}, super: {}}, heads: model.heads}"
    file = read(tmp_path, TABLE.replace("sets: {attention: model.attention, heads: model.heads}", several))
    values = file.values(read_experiment(tmp_path, "base", "quick"), "quick")
    assert file.row_values(values, {"attention": "softmax"}) == {
        "model": {"attention": "softmax", "heads": 1, "width": 8}
    }
    assert file.row_values(values, {"attention": "super", "heads": 2})["model"]["heads"] == 2
    assert values["model"]["heads"] == 4


def test_a_part_of_the_key_may_choose_the_experiment(tmp_path: Path) -> None:
    text = TABLE.replace("experiment: base", 'experiment: "{world}_base"').replace(
        "sets: {", "sets: {world: experiment, "
    )
    text = text.replace("rows: {", "rows: {world: [one, two], ")
    experiments = {f"{name}_base": BASE.replace("imdb", name) for name in ("one", "two")}
    file = read(tmp_path, text, **experiments)
    assert file.experiments("quick") == ["one_base", "two_base"]
    assert file.spec(tmp_path, "quick").data_sets == {"one": None, "two": None}


def test_a_table_lays_its_own_config_over_the_experiment(tmp_path: Path) -> None:
    own = "config: {model: {width: 9}, scales: {quick: {model: {width: 2}}}}\nseeds:"
    file = read(tmp_path, TABLE.replace("seeds:", own))
    widths = [file.values(read_experiment(tmp_path, "base", s), s)["model"]["width"] for s in ("quick", "paper")]
    assert widths == [2, 9]


def test_columns_may_be_shared(tmp_path: Path) -> None:
    text = TABLE.split("columns:")[0] + "columns: [shared, {loss: {label: loss, unit: nats}}]"
    assert [column.name for column in read(tmp_path, text).columns] == ["accuracy", "loss"]


def test_a_published_row_that_no_scale_runs_is_listed_last(tmp_path: Path) -> None:
    text = (
        TABLE + "published: [{row: {attention: flash}, values: {accuracy: 70}, approximate: true, sources: a figure}]"
    )
    file = read(tmp_path, text)
    assert file.rows[-1] == {"attention": "flash"}
    assert (file.published[0].sources, file.published[0].approximate) == ({"accuracy": "a figure"}, {"accuracy"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seeds: {", "seedz: {", r"heads\.yaml: top level: unknown key 'seedz'.*Did you mean 'seeds'"),
        ("heads: [1, 2]", "head: [1, 2]", r"rows: a row's 'head' sets nothing.*Did you mean 'heads'"),
        ("heads: [1, 2]", "heads: [1, 1]", r"rows: the row softmax, heads 1 occurs twice"),
        ("heads: [1, 2]", "heads: [[1], 2]", r"rows\.heads\[0\]: a row's key may hold words, numbers"),
        ("heads: [1, 2]", "each: [{attention: x}]", "'attention' varies in two places"),
        ("quick: 1", "quick: one", r"seeds\.quick: expected a whole number"),
        ("quick: 1, ", "", r"seeds: key 'quick' is missing"),
        ("experiment: base", 'experiment: "{world}"', r"holds \['world'\], but no part sets `experiment`"),
        ("unit: nats", "unit: 1", r"columns\.loss\.unit: a unit is words"),
        ("[paper]", "[papers]", r"cola\.scales\[0\]: expected one of quick.*Did you mean 'paper'"),
        ("columns:", "columns: sharde\ncurves:", r"columns\.yaml has no columns 'sharde'. Did you mean 'shared'"),
        ("title: Heads\n", "", r"key 'title' is missing"),
        ("rows: {", "rows: {}\nlines: {", r"unknown key 'lines'"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in TABLE
    with pytest.raises(UserError, match=message):
        read(tmp_path, TABLE.replace(old, new))


def test_a_value_without_a_meaning_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not say what a 3 means, only 1, 2"):
        rows(tmp_path, "{a: [1, 3]}", "{a: {1: {}, 2: {}}}")


def test_somebody_must_say_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither it nor its experiment base says what to `run`"):
        read(tmp_path, base="model: {attention: softmax, heads: 1}").spec(tmp_path, "quick")


MORE = (
    TABLE.replace("digits: 1}", "digits: 1, range: [0, null], exact: true}")
    + """
items: {config: test.texts, shares: {accuracy: 4}, without: [cola]}
not_compared: {every: other data, cola: other task}
references: [{row: {heads: 1}, by: A third party, values: {accuracy: {mean: 71, sd: 0.5, runs: 5}}}]
"""
)


def test_what_statistics_need_is_read(tmp_path: Path) -> None:
    table = read(tmp_path, MORE)
    assert (table.columns[0].range, table.columns[0].exact) == ((0.0, math.inf), True)
    assert table.items == SharedItems("test.texts", {"accuracy": 4}, frozenset({"cola"}))
    assert table.not_compared == {"accuracy": "other data", "cola": "other task"}
    assert table.references == (Reference({"heads": 1}, "A third party", {"accuracy": (71, 0.5, 5)}),)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[0, null]", "[1, 0]", r"range: the least value 1 must be below the largest 0"),
        ("[0, null]", "[0]", r"range: a range has a least and a largest value"),
        ("without: [cola]", "without: [kola]", r"items: there is no column 'kola'.*Did you mean 'cola'"),
        ("cola: other task", "kola: other task", r"not_compared: there is no column 'kola'"),
        ("runs: 5", "run: 5", r"references\[0\]\.values\.accuracy: unknown key 'run'"),
    ],
)
def test_what_statistics_cannot_use_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in MORE
    with pytest.raises(UserError, match=message):
        read(tmp_path, MORE.replace(old, new))

from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.common.strict_yaml import Node, read_yaml


def node(value: object) -> Node:
    return Node(Path("a.yaml"), "tables.glue", value)


def test_place_names_mappings_and_lists() -> None:
    inner = node({"rows": [{"key": 1}]}).entries()["rows"].items()[0].entries()["key"]
    assert inner.place == "tables.glue.rows[0].key"
    with pytest.raises(UserError, match=r"^a\.yaml: tables\.glue\.rows\[0\]\.key: expected words"):
        inner.text()


def test_unknown_and_missing_keys() -> None:
    with pytest.raises(UserError, match=r"unknown key 'tittle'.*Did you mean 'title'"):
        node({"tittle": "x"}).fields(("title",))
    with pytest.raises(UserError, match="key 'title' is missing"):
        node({"note": "x"}).fields(("title",), ("note",))


@pytest.mark.parametrize(
    ("read", "value", "complaint"),
    [
        (Node.text, 2403.01643, "needs quotes"),
        (Node.text, "  ", "expected words"),
        (Node.number, True, "expected a finite number"),
        (Node.number, "1", "expected a finite number"),
        (Node.number, float("nan"), "expected a finite number"),
        (Node.whole, 2.0, "expected a whole number"),
        (Node.whole, True, "expected a whole number"),
        (Node.flag, "yes", "expected true or false"),
        (Node.items, {"a": 1}, "expected a list"),
        (Node.entries, [1], "expected a mapping"),
        (Node.entries, {1: 2}, "expected a mapping"),
        (Node.key, {}, "cannot be empty"),
        (Node.key, {"a": None}, "a row's key may hold"),
        (lambda one: one.choice("paired", "other"), "pared", "Did you mean 'paired'"),
    ],
)
def test_wrong_types(read: object, value: object, complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read(node(value))  # type: ignore[operator]


def test_text_is_one_line() -> None:
    assert node("two\n lines ").text() == "two lines"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: 1\nb: 2\na: 3\n", "line 3: 'a' occurs twice"),
        ("a: [1\nb: 2\n", "line 2"),
        ("a: \x00", "not YAML"),
        ("a: !!python/object:os.system {}", "could not determine a constructor"),
    ],
)
def test_malformed_files(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match=complaint):
        read_yaml(tmp_path / "x.yaml")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_yaml(tmp_path / "x.yaml")

"""Pair tasks made from single texts: by hand, and what must hold for any texts."""

from hypothesis import given
from hypothesis import strategies as st

from projects.smyrf.data.pairs import paired, same_class, same_text


def test_same_class_by_hand() -> None:
    """a wants its class: c; b wants another: e is of b's class, so d; e is left alone."""
    texts = [("a", 0.0), ("b", 1.0), ("c", 0.0), ("d", 0.0), ("e", 1.0)]
    assert same_class(texts) == [("a", "c", 1.0), ("b", "d", 0.0)]


def test_same_text_by_hand() -> None:
    """Of one class the second and the fourth text swap their ends; the only text of the other class keeps its own."""
    texts = [("a1 a2", 0.0), ("b1 b2", 0.0), ("x1 x2 x3", 1.0), ("c1 c2", 0.0), ("d1 d2", 0.0)]
    assert same_text(texts) == [
        ("a1", "a2", 1.0),
        ("b1", "d2", 0.0),
        ("x1", "x2 x3", 1.0),
        ("c1", "c2", 1.0),
        ("d1", "b2", 0.0),
    ]


@given(st.lists(st.integers(0, 2), min_size=1, max_size=30))
def test_pairs_of_any_texts(classes: list[int]) -> None:
    texts = {f"w{number} {number}": float(label) for number, label in enumerate(classes)}
    rows = [(text, "", label) for text, label in texts.items()]
    found = paired("same_class", rows)
    used = [text for first, second, _ in found for text in (first, second)]
    assert len(set(used)) == len(used)
    assert all((texts[first] == texts[second]) == bool(together) for first, second, together in found)
    for first, second, together in paired("same_text", rows):
        own, other = first.removeprefix("w"), second
        assert (own == other) == bool(together)
        assert texts[f"w{own} {own}"] == texts[f"w{other} {other}"]
    assert paired("same_class", rows) == found

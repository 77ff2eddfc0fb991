"""Austen: books become paragraphs, and no book stands in two splits."""

from regard_lab.data.sets import austen


def test_books_become_paragraphs_in_their_splits():
    assert austen.paragraphs(["", "CHAPTER I", "", "It is", " a truth ", "", "", "universal"]) == (
        "CHAPTER I\nIt is a truth\nuniversal"
    )
    books = {book: [book] for names in austen.BOOKS.values() for book in names}
    splits = austen.split(books)
    assert splits["test"].texts == ["persuasion"]
    assert len({label for part in splits.values() for label in part.labels.tolist()}) == 6

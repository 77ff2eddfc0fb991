"""The protocols of data sets: `Form`, a prepared split, and `DataSet`, a module of `regard_lab.data.sets`."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol, Self

from regard_lab.data.card import Card


class Form(Protocol):
    """One split of a data set in its prepared form, such as `Texts`, `Images`, `Series` or `Scenes`."""

    def __len__(self) -> int:
        """How many rows the split has."""
        ...

    def keys(self) -> Iterator[str | bytes]:
        """One key per row; rows with the same key are duplicates."""
        ...

    def files(self, split: str) -> Mapping[str, bytes]:
        """The prepared files of the split, by name, and their content: the same bytes every time."""
        ...

    @classmethod
    def read(cls, folder: Path, split: str) -> Self:
        """Read what `files` has written below `folder`."""
        ...


Splits = Mapping[str, Form]


class DataSet(Protocol):
    """A data set: a module with its card and form, and one of the functions below for each source that the card names."""

    @property
    def CARD(self) -> Card:  # noqa: N802
        """The description of the set, and its packages."""
        ...

    @property
    def FORM(self) -> type[Form]:  # noqa: N802
        """The form of its splits."""
        ...


class FromPackage(DataSet, Protocol):
    """A set that comes from packages, or is generated."""

    @property
    def from_package(self) -> Callable[..., Splits]:
        """Takes one `Archive` per package of the card, in its order."""
        ...


class FromHub(DataSet, Protocol):
    """A set that comes from the Hugging Face hub."""

    def from_hub(self) -> Splits:
        """The splits of the hub's set."""
        ...


class FromFolder(DataSet, Protocol):
    """A set that comes from the user's own files."""

    def from_folder(self, folder: Path) -> Splits:
        """The splits of the files below `folder`."""
        ...

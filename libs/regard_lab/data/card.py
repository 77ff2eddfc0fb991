"""What is said of a data set: on the report's data page, beside every table that uses it, and when its checksum is asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from regard_lab.common.errors import UserError
from regard_lab.data.packages import Package

SourceName = Literal["package", "hub", "folder"]


@dataclass(frozen=True)
class Source:
    """Where a set can come from.

    Attributes:
        name: "package", "hub" or "folder".
        where: The same in words.
        sizes: The rows of each split, checked when the set is prepared; empty for a user's own folder.
        sha256: The checksum of the whole prepared set, pinned for "package" alone.
    """

    name: SourceName
    where: str
    sizes: Mapping[str, int]
    sha256: str = ""


@dataclass(frozen=True)
class Card:
    """A data set. `stands_in_for` is the paper's set that it replaces (`None`: it is the paper's own); `sources` are in the order to try."""

    name: str
    title: str
    stands_in_for: str | None
    licence: str
    citation: str
    homepage: str
    sources: tuple[Source, ...]
    packages: tuple[Package, ...] = ()
    note: str = ""

    @property
    def sizes(self) -> Mapping[str, int]:
        """The rows of each split, from the first source."""
        return self.sources[0].sizes

    def source(self, name: str) -> Source:
        """The source of that name; for one that the set does not have, a `UserError` lists those it has."""
        for source in self.sources:
            if source.name == name:
                return source
        known = ", ".join(source.name for source in self.sources)
        raise UserError(f"data set {self.name} has no source {name!r}; it has {known}")

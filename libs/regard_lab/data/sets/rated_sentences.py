"""Rated sentences: snippets of film reviews, tweets, product reviews and editorials, each with the mean rating of about
twenty people, −4 to 4.

The splits are our own, for each kind: `movie_train`, `movie_validation`, `movie_test`, and so on. Repeats are dropped first, over all kinds.
"""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.packages import Archive, Package
from regard_lab.data.sentences import Rated, Sentences
from regard_lab.data.texts import drawn, normalised

FORM = Sentences
SEED = "rated sentences 0"
KINDS = {
    "movie": "movieReviewSnippets_GroundTruth.txt",
    "tweets": "tweets_GroundTruth.txt",
    "amazon": "amazonReviewSnippets_GroundTruth.txt",
    "nyt": "nytEditorialSnippets_GroundTruth.txt",
}
INNER = "additional_resources/hutto_ICWSM_2014.tar.gz"
TENTHS = {"train": 6, "validation": 1}  # the rest is test
SIZES = {
    "movie_train": 6_361,
    "movie_validation": 1_060,
    "movie_test": 3_182,
    "tweets_train": 2_427,
    "tweets_validation": 404,
    "tweets_test": 1_215,
    "amazon_train": 2_211,
    "amazon_validation": 368,
    "amazon_test": 1_106,
    "nyt_train": 3_068,
    "nyt_validation": 511,
    "nyt_test": 1_535,
}

CARD = Card(
    name="rated_sentences",
    title="Sentences rated by people (VADER's ground truth)",
    stands_in_for="SST-2, STS-B and other sets of rated sentences",
    licence="MIT",
    citation="Hutto, Gilbert: VADER: A Parsimonious Rule-based Model for Sentiment Analysis of Social Media Text. ICWSM 2014.",
    homepage="https://github.com/cjhutto/vaderSentiment",
    sources=(
        Source(
            "package",
            "PyPI vaderSentiment 3.3.2 (source archive)",
            SIZES,
            sha256="0cdea432645d039a4dcb7ef329bc31ffb0d7ce8bb3ec71d4da1620343f74442a",
        ),
        Source("folder", "<kind>_<split>.jsonl for the kinds movie, tweets, amazon and nyt", {}),
    ),
    packages=(
        Package(
            "pypi",
            "vaderSentiment",
            "3.3.2",
            "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
            sdist=True,
        ),
    ),
    note="Means of about twenty ratings from −4 to 4. Repeats are dropped, and the splits, 6 : 1 : 3 of each kind, are our own.",
)


def from_package(archive: Archive) -> dict[str, Sentences]:
    """The archive inside the archive: `*_GroundTruth.txt`, lines of number, mean rating and text, separated by tabs."""
    ((_, inner),) = archive.files(f"*/{INNER}")
    with tarfile.open(fileobj=io.BytesIO(inner)) as files:
        content = {
            Path(member.name).name: file.read()
            for member in files
            if (file := files.extractfile(member)) and not Path(member.name).name.startswith(".")
        }
    return split({kind: ratings(content[file].decode("utf-8"), file) for kind, file in KINDS.items()})


def from_folder(folder: Path) -> dict[str, Sentences]:
    """A user's own splits."""
    names = [f"{kind}_{part}" for kind in KINDS for part in ("train", "validation", "test")]
    return {name: Sentences.read(folder, name) for name in names}


def ratings(content: str, file: str) -> list[Rated]:
    """The rows of one file."""
    rows: list[Rated] = []
    for number, line in enumerate(content.splitlines(), start=1):
        _, _, rest = line.partition("\t")
        rating, _, text = rest.partition("\t")
        try:
            rows.append((text.strip(), "", float(rating)))
        except ValueError:
            raise UserError(f"line {number} of {file} is not number, rating and text: {line[:60]!r}") from None
    return rows


def split(kinds: dict[str, Iterable[Rated]]) -> dict[str, Sentences]:
    """Train, validation and test of each kind, 6 : 1 : 3, without repeats."""
    seen: set[str] = set()
    splits: dict[str, Sentences] = {}
    for kind, unsplit in kinds.items():
        rows = {}
        for row in unsplit:
            if (key := normalised(row[0])) and key not in seen:
                seen.add(key)
                rows[key] = row
        order = drawn(rows, SEED)
        start = 0
        for part, tenths in TENTHS.items():
            end = start + len(order) * tenths // 10
            splits[f"{kind}_{part}"] = Sentences.of(rows[key] for key in order[start:end])
            start = end
        splits[f"{kind}_test"] = Sentences.of(rows[key] for key in order[start:])
    return splits

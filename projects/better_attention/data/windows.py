"""Running text as windows of subwords for a language model, made once for all cells that ask for the same and mapped from a file.

Neither the texts nor their subwords are ever in memory as a whole: texts are read one after the other, their subwords
are written as they come, two bytes each where the vocabulary allows it, and training maps the file and reads the
windows of a batch.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from projects.better_attention.config import Data
from regard_lab import data
from regard_lab.common.files import read_json, write_json
from regard_lab.data.subwords import encode, learn_tokenizer
from regard_lab.experiment.artefacts import artefact

TEXTS = 1_000  # encoded at once
SMALL = 1 << 16  # vocabularies up to this need two bytes per subword
SUBWORDS = "subwords.json"


@dataclass
class Corpus:
    """Everything that the subwords of a set of texts depend on, its content apart."""

    name: str
    source: str
    vocabulary: int


def windows(config: Data, root: Path) -> dict[str, Tensor]:
    """Each split's text as consecutive windows (n, length + 1), the last subword of one being the first of the next.

    They are a view of a mapped file, uint16 or int32: a batch of them takes memory, they do not.

    Args:
        config: With the set's name and source, the size of the vocabulary and the length of a window.
        root: The folder of the repository.

    Raises:
        ValueError: A split has too few subwords for one window.
    """
    assert config.vocabulary is not None
    assert config.length is not None
    corpus = Corpus(config.name, config.source, config.vocabulary)
    folder = artefact(write_subwords, corpus, [config.name], source=config.source, root=root)
    splits = {}
    for split, count in read_json(folder / SUBWORDS).items():
        if count <= config.length:
            raise ValueError(f"{split} of {config.name} has {count} subwords, a window needs {config.length} + 1")
        # Mapped so that writes would go to memory alone: torch warns of an array that cannot be written to.
        numbers = np.memmap(folder / f"{split}.bin", type_of(config.vocabulary), "c")
        splits[split] = torch.from_numpy(numbers).unfold(0, config.length + 1, config.length)
    return splits


def write_subwords(corpus: Corpus, folder: Path) -> None:
    """Learn the subwords of the training split; leave each split as their numbers in `<split>.bin`, and how many in `SUBWORDS`."""
    texts = data.stream_texts(corpus.name, Path.cwd(), corpus.source)
    tokenizer = learn_tokenizer(texts["train"](), corpus.vocabulary)
    counts = {split: write_numbers(tokenizer, read, folder / f"{split}.bin", corpus) for split, read in texts.items()}
    write_json(folder / SUBWORDS, counts)


def write_numbers(tokenizer: Tokenizer, read: Callable[[], Iterator[str]], path: Path, corpus: Corpus) -> int:
    """Write the subwords of texts one after the other; how many there are."""
    count, texts = 0, read()
    with path.open("wb") as file:
        while some := list(itertools.islice(texts, TEXTS)):
            for ids in encode(tokenizer, some):
                file.write(np.array(ids, type_of(corpus.vocabulary)).tobytes())
                count += len(ids)
    return count


def type_of(vocabulary: int) -> type[np.uint16] | type[np.int32]:
    """The smallest type that holds the numbers of a vocabulary and that torch indexes."""
    return np.uint16 if vocabulary <= SMALL else np.int32

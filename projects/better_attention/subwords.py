"""Texts as subwords: byte-pair encoding of bytes (Sennrich et al. 2016; Radford et al. 2019), learnt from the training split.

No text is unknown to it, and decoding gives back what was encoded, letter case and signs included: BLEU is of text, not of words.
"""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PADDING, BEGIN, END = range(3)
SPECIAL = ("<padding>", "<begin>", "<end>")
LEAST = len(SPECIAL) + 256  # the special numbers and the bytes


def learnt(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A tokenizer with `vocabulary` subwords, the three special ones (numbers 0 to 2) and the 256 bytes among them."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encoded(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Each text as the numbers of its subwords."""
    return [found.ids for found in tokenizer.encode_batch(texts, add_special_tokens=False)]


def decoded(tokenizer: Tokenizer, numbers: list[list[int]]) -> list[str]:
    """Each list of numbers as text, up to its END; BEGIN and PADDING are not shown."""
    ended = [each[: each.index(END)] if END in each else each for each in numbers]
    return [text.strip() for text in tokenizer.decode_batch(ended, skip_special_tokens=True)]

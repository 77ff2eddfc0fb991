"""Texts as subwords: byte-pair encoding of bytes (Sennrich et al. 2016; Radford et al. 2019), learned from the training split.

It can encode every text, and decoding restores it exactly, including letter case and punctuation, so BLEU is computed
on text and not on words.
"""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

PADDING, BEGIN, END = range(3)
SPECIAL = ("<padding>", "<begin>", "<end>")
LEAST = len(SPECIAL) + 256  # the special subwords and the bytes


def learn_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """A tokenizer with `vocabulary` subwords, among them the three special ones (numbers 0 to 2) and the 256 bytes."""
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


def encode(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Each text as the numbers of its subwords."""
    return [encoding.ids for encoding in tokenizer.encode_batch(texts, add_special_tokens=False)]


def decode(tokenizer: Tokenizer, sequences: list[list[int]]) -> list[str]:
    """Each sequence of numbers as text, up to its END; BEGIN and PADDING are left out."""
    ended = [sequence[: sequence.index(END)] if END in sequence else sequence for sequence in sequences]
    return [text.strip() for text in tokenizer.decode_batch(ended, skip_special_tokens=True)]

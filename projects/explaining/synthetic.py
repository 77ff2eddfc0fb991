"""Two made-up tasks: one that a bag of tokens solves, and one in which every bag is that of both classes.

    majority(n, length, seed)    B A A B A …  -> 1 if A is more frequent              the label is in the counts
    brackets(n, length, seed)    · ( [ · [ ( · ·  -> 1 if ) must come next, 0 if ]      the counts are always the same: the order decides

Pure functions of their arguments. Tokens (n, length) int64 begin at `FIRST`; labels (n) int64, as many of each.
"""

import torch
from torch import Tensor

FIRST = 2  # 0 is padding, 1 an unknown word, as in the real sets
WORDS = {"majority": ["A", "B"], "brackets": ["·", "(", "["]}
OPENED = 3
Task = tuple[Tensor, Tensor]


def majority(n: int, length: int, seed: int) -> Task:
    """Which of two tokens is more frequent; the margin is drawn evenly, and never 0."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    most = torch.randint(length // 2 + 1, length + 1, (n,), generator=generator)
    order = torch.rand(n, length, generator=generator).argsort(-1)
    is_winner = order < most[:, None]
    tokens = torch.where(is_winner, 1 - labels[:, None], labels[:, None])  # the winner is A (0) where the label is 1
    return tokens + FIRST, labels


def brackets(n: int, length: int, seed: int) -> Task:
    """Three round and three square brackets are opened among dots, and none is closed: must a round one be closed next, being the last?"""
    if length < 2 * OPENED:
        raise ValueError(f"{OPENED} brackets of each kind need {2 * OPENED} places, got length = {length}")
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % 2
    places = torch.rand(n, length, generator=generator).argsort(-1)[:, : 2 * OPENED].sort(-1).values
    kinds = torch.rand(n, 2 * OPENED, generator=generator).argsort(-1) % 2  # 0 round, 1 square, as many of each
    kinds = (kinds + kinds[:, -1:] + 1 - labels[:, None]) % 2  # turned so that the last one is what the label says
    tokens = torch.zeros(n, length, dtype=torch.long)
    tokens.scatter_(1, places, 1 + kinds)
    return tokens + FIRST, labels


TASKS = {"majority": majority, "brackets": brackets}

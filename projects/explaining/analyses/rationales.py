"""Does the prediction rest on the tokens that an importance ranks first? ERASER's comprehensiveness and sufficiency (DeYoung et al. 2020).

With x a text, j its likeliest class, m(·)_j that class's probability, and r the most important tokens, a share of all:

    comprehensiveness    m(x)_j − m(x without r)_j        high where r holds what the prediction needs
    sufficiency          m(x)_j − m(r alone)_j            low where r is enough for it
    AOPC                 their mean over rationales of 1, 5, 10, 20 and 50 % of the tokens, as the released code takes it

Tokens that are left out become padding in their places, so that all others keep their positions. Special tokens ([CLS],
[SEP], a question) are never left out, and count in no share. A rationale has a whole number of tokens, rounded up, so
at least one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from projects.explaining.data import PADDING
from projects.explaining.models.classifier import Classifier, hidden_of

SHARES = (1, 5, 10, 20, 50)  # % of a text's tokens (DeYoung et al. 2020)
AT_ONCE = 64  # texts with tokens left out


def ranked(importance: Tensor, free: Tensor, chance: Tensor) -> Tensor:
    """The places of a text's free tokens, the most important first.

    Args:
        importance: `(m)`.
        free: `(m)`, True for tokens that take part.
        chance: `(m)`, different numbers that decide between equals, which would otherwise be ranked by their position.

    Returns:
        `(f)`, f the number of free tokens.
    """
    places = free.nonzero()[:, 0]
    places = places[chance[places].argsort()]
    return places[importance[places].argsort(descending=True, stable=True)]


def rationales(order: Tensor, length: int, shares: Sequence[int] = SHARES) -> Tensor:
    """The first of the ranked tokens, for each share.

    Args:
        order: `(f)`, places from `ranked`.
        length: m, of the text.
        shares: In % of the f tokens. Default: ERASER's.

    Returns:
        `(s, m)`, True for the tokens of a rationale.
    """
    chosen = torch.zeros(len(shares), length, dtype=torch.bool, device=order.device)
    for row, share in zip(chosen, shares, strict=True):
        row[order[: -(-share * len(order) // 100)]] = True  # rounded up
    return chosen


@torch.no_grad()
def aopc(model: Classifier, tokens: Tensor, free: Tensor, chosen: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
    """Comprehensiveness and sufficiency of rationales of one text, mean over their shares.

    Args:
        model: The classifier.
        tokens: `(m)`.
        free: `(m)`, True for tokens that can be left out.
        chosen: `(k, s, m)`, of k importances the rationales of s shares, from `rationales`.
        predicted: `(classes)`, of the whole text.

    Returns:
        `(k)` each, −1 … 1.
    """
    without = tokens.expand(chosen.shape).masked_fill(chosen, PADDING)
    alone = tokens.expand(chosen.shape).masked_fill(free & ~chosen, PADDING)
    copies = torch.stack([without, alone]).flatten(0, -2)
    likeliest = predicted.argmax()
    after = torch.cat(
        [
            model.upper(hidden_of(model, part, AT_ONCE), part != PADDING).softmax(-1)[:, likeliest]
            for part in torch.split(copies, AT_ONCE)
        ]
    )
    lost = (predicted[likeliest] - after).view(2, *chosen.shape[:-1]).mean(-1)  # 2 k
    return lost[0], lost[1]

"""Comprehensiveness and sufficiency of a bag of words, worked out by hand."""

import pytest
import torch
from torch import nn

from projects.explaining.analyses.rationales import SHARES, aopc, ranked, rationales
from projects.explaining.models.classifier import Classifier
from tests.projects.explaining.test_models import Sixth

GOOD, PLAIN, BAD = 3, 2, 4


class Bag(Classifier):
    """The first class has the probability 0.5, 0.2 more for each good word, and 0.1 less for each bad one."""

    def __init__(self) -> None:
        super().__init__()
        self.none = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def embed(self, tokens):
        return (0.2 * (tokens == GOOD) - 0.1 * (tokens == BAD)).double()[..., None]

    def lower(self, embedded, mask, replace=None):
        return embedded

    def upper(self, hidden, mask, replace=None):
        good = 0.5 + (hidden[..., 0] * mask).sum(-1)
        return torch.stack([good, 1 - good], -1).log()


def measured(
    model: Classifier, text: list[int], *importances: list[float], special: tuple[int, ...] = ()
) -> list[list[float]]:
    """Comprehensiveness and sufficiency of each importance."""
    tokens = torch.tensor(text)
    free = torch.ones(len(text), dtype=torch.bool)
    free[list(special)] = False
    chance = torch.arange(len(text)).double()
    orders = [ranked(torch.tensor(one).double(), free, chance) for one in importances]
    chosen = torch.stack([rationales(order, len(text)) for order in orders])
    with torch.no_grad():
        predicted = model(tokens[None]).softmax(-1)[0]
    return [
        list(pair) for pair in zip(*(one.tolist() for one in aopc(model, tokens, free, chosen, predicted)), strict=True)
    ]


def test_a_bag_of_words_by_hand():
    """Ten words, so that rationales have 1, 1, 1, 2 and 5 of them; the whole text has 0.5 + 2 · 0.2 − 0.1 = 0.8."""
    text = [GOOD, PLAIN, PLAIN, PLAIN, GOOD, PLAIN, PLAIN, BAD, PLAIN, PLAIN]
    best = [5.0, 0, 0, 0, 4, 0, 0, -1, 0, 0]
    right, wrong = measured(Bag(), text, best, [-one for one in best])
    # Without the good words 0.6, 0.6, 0.6, 0.4, 0.4; with them alone 0.7, 0.7, 0.7, 0.9, 0.9.
    assert right == pytest.approx([(3 * 0.2 + 2 * 0.4) / 5, (3 * 0.1 - 2 * 0.1) / 5])
    # Without the bad word 0.9 each time, plain words or not; with it alone 0.4.
    assert wrong == pytest.approx([-0.1, 0.4])


def test_special_tokens_stay_and_count_in_no_share():
    """The first good word is special: nine words are left, of which 1, 1, 1, 2 and 5 go, and 0.2 is in what is left each time."""
    text = [GOOD, PLAIN, PLAIN, PLAIN, GOOD, PLAIN, PLAIN, BAD, PLAIN, PLAIN]
    (found,) = measured(Bag(), text, [9.0, 0, 0, 0, 4, 0, 0, -1, 0, 0], special=(0,))
    assert found == pytest.approx([0.2, -0.1])  # without the other 0.6; with it 0.9


def test_what_is_left_keeps_its_place():
    """The sixth token decides: alone it is enough where the five before it are padding, and nowhere else."""
    texts = [3, 3, 2, 2, 2, 3, 2, 2, 2, 2]
    ((comprehensiveness, sufficiency),) = measured(Sixth(), texts, [0.0, 0, 0, 0, 0, 1, 0, 0, 0, 0])
    change = float((torch.tensor([0.0, 1.0]).softmax(-1) - torch.tensor([1.0, 0.0]).softmax(-1))[1])
    assert comprehensiveness == pytest.approx(change, abs=1e-6)
    assert sufficiency == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("tokens", "sizes"), [(2, [1, 1, 1, 1, 1]), (3, [1, 1, 1, 1, 2]), (24, [1, 2, 3, 5, 12]), (100, [1, 5, 10, 20, 50])]
)
def test_rationales_are_rounded_up_and_never_all_of_a_text(tokens, sizes):
    chosen = rationales(torch.arange(tokens), tokens + 1)
    assert SHARES == (1, 5, 10, 20, 50)
    assert chosen.sum(-1).tolist() == sizes
    assert chosen[-1].tolist() == [place < sizes[-1] for place in range(tokens + 1)]  # the first of the order


def test_equal_importances_are_ranked_by_chance_and_special_tokens_not_at_all():
    importance = torch.tensor([9.0, 1.0, 2.0, 1.0, 1.0])
    free = torch.tensor([False, True, True, True, True])
    assert ranked(importance, free, torch.tensor([0.1, 0.5, 0.9, 0.2, 0.7])).tolist() == [2, 3, 1, 4]
    assert ranked(importance, free, torch.tensor([0.1, 0.2, 0.3, 0.9, 0.1])).tolist() == [2, 4, 1, 3]
    assert ranked(-importance, free, torch.tensor([0.1, 0.2, 0.3, 0.9, 0.1])).tolist() == [4, 1, 3, 2]

"""Greedy and beam search, against all hypotheses of a table of log p, and on the translator."""

import itertools
import math

import pytest
import torch

from projects.better_attention.config import FOUR, PROJECT
from projects.better_attention.models.decoding import beam_search, greedy
from projects.better_attention.models.translator import Translator
from regard_lab.data.subwords import BEGIN, END, PADDING
from tests.configs import configs_of

TINY = ["data.vocabulary=260", "data.length=6", "model.width=8", "model.heads=2", "model.hidden=[8]"]

config_of = configs_of(PROJECT, default="table=translation")


def model_of(attention: str, *overrides: str) -> Translator:
    torch.manual_seed(0)
    config = config_of(*TINY, f"model.attention={attention}", *overrides)
    return Translator(config.data, config.model, config.translation).eval()


class Table(torch.nn.Module):
    """In the place of a translator: the next word hangs on the last one and on the source's first, by a table of log p of three words."""

    length = 4

    def __init__(self, seed: int) -> None:
        super().__init__()
        draw = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(seed))
        draw[:, :, [PADDING, BEGIN]] = -torch.inf
        self.log_p = (2 * draw).log_softmax(-1)

    def encode(self, sources: torch.Tensor) -> torch.Tensor:
        return sources[:, :1]

    def next_logits(self, context: torch.Tensor, mask: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return self.log_p[context[:, 0], targets[:, -1]].clone()

    def sum_of(self, source: int, words: tuple[int, ...]) -> float:
        return math.fsum(float(self.log_p[source, a, b]) for a, b in itertools.pairwise((BEGIN, *words)))


def hypotheses() -> list[tuple[int, ...]]:
    """All that end with END within four words, or are four words long."""
    ended = [(*words, END) for n in range(4) for words in itertools.product((3, 4, 5), repeat=n)]
    return ended + list(itertools.product((3, 4, 5), repeat=4))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_of_all_hypotheses(seed, alpha):
    model = Table(seed)
    found = beam_search(model, torch.tensor([[0, 3], [1, 3]]), beam=200, length_penalty=alpha)
    for source in range(2):
        best = max(hypotheses(), key=lambda words, source=source: model.sum_of(source, words) / len(words) ** alpha)
        assert tuple(word for word in found[source].tolist() if word != PADDING) == best


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_of_one_is_greedy_and_greedy_takes_the_likeliest(seed):
    model, sources = Table(seed), torch.tensor([[0, 3], [1, 3]])
    found = greedy(model, sources)
    for source, row in enumerate(found.tolist()):
        words = [BEGIN]
        while len(words) < 5 and words[-1] != END:
            words.append(int(model.log_p[source, words[-1]].argmax()))
        assert [word for word in row if word != PADDING] == words[1:]
    wide = beam_search(model, sources, beam=1, length_penalty=1.0)
    assert wide.tolist() == found.tolist()


def test_a_wider_beam_can_pay():
    sums = []
    for seed in range(20):
        model = Table(seed)
        sources = torch.tensor([[0, 3]])
        rows = [greedy(model, sources), beam_search(model, sources, 3, 0.0)]
        sums.append([model.sum_of(0, tuple(word for word in row[0].tolist() if word != PADDING)) for row in rows])
    assert any(wide > one + 1e-6 for one, wide in sums)


@pytest.mark.parametrize("attention", FOUR)
def test_searches_run_on_the_translator_and_agree_with_its_logits(attention):
    model, sources = model_of(attention), torch.tensor([[5, 6, 7, PADDING], [5, 6, 7, 8]])
    found = greedy(model, sources)
    assert beam_search(model, sources, 1, 1.0).tolist() == found.tolist()
    targets = torch.cat([torch.full((2, 1), BEGIN), found], 1)[:, : model.length]
    logits = model(sources, targets)
    logits[..., [PADDING, BEGIN]] = -torch.inf
    real = found != PADDING
    assert torch.equal(logits[:, : found.shape[1]].argmax(-1)[real], found[real])

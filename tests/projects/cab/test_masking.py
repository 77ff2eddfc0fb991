"""Masked language models: what is asked for, what stands there, what a model may see, and the floors by hand."""

import math

import numpy as np
import pytest
import torch
from scipy import sparse

from projects.cab.analyses import floors
from projects.cab.config import NONE, Attention
from projects.cab.data.masking import MASK, masked, masked_count
from projects.cab.data.running_text import masked_windows
from projects.cab.models.masked_language_model import MaskedLanguageModel
from projects.cab.tasks import masked_language_modelling
from tests.projects.cab.cab_data import config_of


def test_a_seventh_is_asked_for_and_most_of_it_is_hidden():
    windows = torch.randint(3, 500, (400, 100))
    seen, chosen = masked(windows, 0.15, 500)
    assert chosen.shape == (400, 15)
    assert all(len(set(row.tolist())) == 15 for row in chosen)
    asked = torch.zeros_like(windows, dtype=torch.bool).scatter(1, chosen, True)
    assert torch.equal(seen[~asked], windows[~asked])
    hidden = float((seen[asked] == MASK).double().mean())
    stays = float((seen[asked] == windows[asked]).double().mean())
    assert hidden == pytest.approx(0.8, abs=0.02)
    assert stays == pytest.approx(0.1 + 0.1 / 497, abs=0.02)
    assert int(seen.min()) >= MASK
    assert masked_count(4, 0.15) == 1


def test_held_out_masks_are_drawn_once(made_up):
    task = config_of("table=mlm", *made_up).mlm
    first, again = (masked_windows(task, "package")["test"] for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], first[2])


def test_the_loss_is_of_what_stood_there():
    seen, chosen, windows = torch.tensor([[4, MASK, 5]]), torch.tensor([[1]]), torch.tensor([[4, 3, 5]])
    logits = torch.zeros(1, 1, 6)
    found = masked_language_modelling.outcomes(lambda *_: logits, (seen, chosen, windows))
    assert float(found["nats"]) == pytest.approx(math.log(6))
    logits[0, 0, 3] = 100
    found = masked_language_modelling.outcomes(lambda *_: logits, (seen, chosen, windows))
    assert (float(found["nats"]), float(found["right"])) == (pytest.approx(0, abs=1e-6), 1)


def test_without_attention_a_place_knows_itself_alone():
    task = config_of("table=mlm").mlm
    torch.manual_seed(0)
    places = torch.tensor([[2]])
    for attention, alike in ((NONE, True), ("softmax", False)):
        model = MaskedLanguageModel(task, Attention(attention, "", {}), "noncausal_self").eval()
        one, other = (model(torch.tensor([words]), places) for words in ([5, 6, MASK, 7], [8, 9, MASK, 10]))
        assert torch.allclose(one, other, atol=1e-5) is alike


def test_neighbours_by_hand():
    counts = floors.neighbour_counts(np.array([[0, 0, 1]]), np.array([[1, 1, 2]]), 3)
    assert isinstance(counts, sparse.csr_matrix)
    unigrams = np.array([0.5, 0.25, 0.25])
    found = floors.witten_bell(counts, np.array([0, 2]), unigrams)
    assert found[0] == pytest.approx([0.5 / 3, (2 + 0.25) / 3, 0.25 / 3])  # one kind seen twice
    assert found[1] == pytest.approx(unigrams)  # never seen: unigrams
    assert found.sum(1) == pytest.approx([1, 1])


def test_neighbours_tell_more_than_frequencies(made_up, tmp_path):
    """A text that repeats itself is known from its neighbours."""
    config = config_of("table=mlm", *made_up)
    alone, beside = (run(config, tmp_path).metrics for run in (floors.masked_unigram, floors.masked_neighbours))
    assert 1 < beside["perplexity"] < alone["perplexity"]
    assert beside["accuracy"] > alone["accuracy"]

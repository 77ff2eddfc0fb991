"""Summaries: what is to be written, how it is decoded, ROUGE and floors by hand."""

import itertools
import math
from typing import ClassVar

import pytest
import torch

from projects.cab.analyses import floors
from projects.cab.config import NONE, Attention
from projects.cab.data.summaries import articles, parted
from projects.cab.models.summariser import NEVER, Summariser, write
from projects.cab.tasks import summarisation
from regard.common.patterns import Pattern
from regard_lab.data.subwords import BEGIN, END, PADDING, decode
from tests.projects.cab.cab_data import config_of

PATTERNS: dict[str, Pattern] = {
    "summary_self": "noncausal_self",
    "summary_causal": "causal_self",
    "summary_cross": "causal_cross",
}


def test_headline_and_first_paragraph_are_written_from_the_rest():
    assert parted("Rain\n\nIt rains.\n\nIt is wet.\n\nVery wet.") == ("It is wet. Very wet.", "Rain. It rains.")
    assert parted("Rain\n\nIt rains.") is None


def test_articles_as_subwords(made_up):
    tokenizer, splits = articles(config_of("table=summary_cross", *made_up).summary, "package")
    test = splits["test"]
    assert test.source.shape == (8, 24)
    assert test.target.shape == (8, 10)
    assert (test.target[:, 0] == BEGIN).all()
    assert ((test.target == END).sum(1) == 1).all()
    ends = test.target.argmax(1) * 0 + (test.target == END).int().argmax(1)
    assert all((row[end + 1 :] == PADDING).all() for row, end in zip(test.target, ends, strict=True))
    read = decode(tokenizer, [test.source[0].tolist()])[0]
    assert read
    assert test.sources[0].startswith(read[:10])


class _Chain:
    """A model that knows the likelihood of each subword after each: 3 is the likelier first, but 4 leads to a likelier whole."""

    NEXT: ClassVar[dict[int, dict[int, float]]] = {
        BEGIN: {3: 0.6, 4: 0.4},
        3: {3: 0.4, 4: 0.3, END: 0.3},
        4: {END: 0.9, 3: 0.1},
    }

    def encode(self, source, mask):
        return source[..., None].float()

    def decode(self, context, mask, target):
        likely = torch.full((*target.shape, 5), 1e-9)
        for row, column in itertools.product(*map(range, target.shape)):
            for subword, p in self.NEXT.get(int(target[row, column]), {}).items():
                likely[row, column, subword] = p
        return likely.log()


def test_greedy_and_beam_search_by_hand():
    source = torch.tensor([[3, 3], [4, 4]])
    greedy = write(_Chain(), source, length=3, beams=1)  # type: ignore[arg-type]
    assert greedy.tolist() == [[3, 3, 3]] * 2
    found = write(_Chain(), source, length=3, beams=3)  # type: ignore[arg-type]

    def whole(words: tuple[int, ...]) -> float:
        steps = zip((BEGIN, *words), words, strict=False)
        return sum(math.log(_Chain.NEXT.get(a, {}).get(b, 1e-9)) for a, b in steps) / len(words)

    known = [words for n in (1, 2, 3) for words in itertools.product((3, 4, END), repeat=n) if END not in words[:-1]]
    best = max((words for words in known if words[-1] == END or len(words) == 3), key=whole)
    assert best == (4, END)
    assert [row[row != PADDING].tolist() for row in found] == [list(best)] * 2


@pytest.mark.parametrize("table", PATTERNS)
def test_the_mechanism_is_where_its_pattern_is_and_sees_what_it_may(table):
    task = config_of(f"table={table}").summary
    torch.manual_seed(0)
    model = Summariser(task, Attention("abc", "", {}), PATTERNS[table]).eval()
    kinds = [model.encoder[0].attention.name, model.decoder[0].own.name, model.decoder[0].cross.name]
    assert kinds == ["abc" if name == table else "softmax" for name in PATTERNS]
    source, target = torch.randint(3, 500, (1, 9)), torch.tensor([[BEGIN, 5, 6, 7]])
    logits = model(source, target)
    later = model(source, torch.tensor([[BEGIN, 5, 8, 9]]))
    assert torch.allclose(logits[:, :2], later[:, :2], atol=1e-5)
    longer = torch.cat([source, torch.full((1, 4), PADDING)], 1)
    assert torch.allclose(model(longer, target), logits, atol=1e-4)
    assert not torch.allclose(model(source.flip(1) + 1, target), logits, atol=1e-4)


def test_without_cross_attention_every_article_has_the_same_summary():
    task = config_of("table=summary_cross").summary
    torch.manual_seed(0)
    model = Summariser(task, Attention(NONE, "", {}), "causal_cross").eval()
    first, second = write(model, torch.randint(3, 500, (2, 9)), length=6, beams=2)
    assert torch.equal(first, second)
    assert not set(NEVER[1:]) & set(first.tolist())


def test_rouge_by_hand():
    found = summarisation.rouge_of(["the cat sat", "a dog"], ["The cat sat on the mat.", "a dog"])
    assert found["rouge_1"].tolist() == pytest.approx([100 * 2 * 1 * 0.5 / 1.5, 100])
    assert found["rouge_2"].tolist() == pytest.approx([100 * 2 * 1 * 0.4 / 1.4, 100])
    assert found["rouge_l"].tolist() == pytest.approx([100 * 2 * 1 * 0.5 / 1.5, 100])


def test_floors_by_hand(made_up, tmp_path):
    assert floors.sentences_of("It rains. Does it? Yes!") == ["It rains.", "Does it?", "Yes!"]
    config = config_of("table=summary_cross", *made_up)
    found = {run.__name__: run(config, tmp_path).metrics for run in (floors.lead, floors.oracle, floors.frequent_words)}
    _, splits = articles(config.summary, "package")
    leads = [" ".join(floors.sentences_of(source)[:2]) for source in splits["test"].sources]
    expected = summarisation.rouge_of(leads, splits["test"].summaries)
    assert found["lead"]["rouge_1"] == pytest.approx(float(expected["rouge_1"].mean()))
    assert found["oracle"]["rouge_1"] > found["frequent_words"]["rouge_2"]

"""The explained layer of a cell's test texts, in float64, with the prediction that it leads to."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from projects.explaining.bert import hidden_of
from projects.explaining.config import Config
from projects.explaining.looking import Classifier, Seen, mixed
from projects.explaining.training import Subject, subject_of

SPECIAL = ("[CLS]", "[SEP]")
KEPT = 2


@dataclass(frozen=True, eq=False)
class Looked:
    """The explained layer; `special` (t, m) marks [CLS] and [SEP], `before` (t, classes) are the probabilities under the model's own attention."""

    subject: Subject
    model: Classifier
    tokens: Tensor
    labels: Tensor
    seen: Seen
    special: Tensor
    before: Tensor

    def probabilities(self, attention: Tensor) -> Tensor:
        """Of the classes, with these weights (…, t, h, m) in the explained layer -> (…, t, classes)."""
        return probabilities(self.model, attention, self.seen)

    def longer(self) -> float:
        """The share of texts with more tokens than a value is wide, in %: in the others nothing can be removed."""
        return 100 * float((self.seen.mask.sum(-1) > self.seen.values.shape[-1]).double().mean())

    def words(self, text: int) -> list[str]:
        """The tokens of a text as words."""
        return [self.subject.words[token] for token in self.tokens[text][self.seen.mask[text]].tolist()]


def probabilities(model: Classifier, attention: Tensor, seen: Seen) -> Tensor:
    return model.decide(seen, mixed(attention, seen)).softmax(-1)


def looked(config: Config, root: Path, *, seed: int | None = None) -> Looked:
    """The configured classifier (of another `seed`, if one is given) and the first `analysis.texts` test texts.

    The latest are kept, because a table's rows share them; they are not to be changed.
    """
    config = replace(
        config, analysis=replace(config.analysis, attention="raw"), seed=config.seed if seed is None else seed
    )
    key = repr((config, root))
    if key not in _kept:
        while len(_kept) >= KEPT:
            del _kept[next(iter(_kept))]
        subject = subject_of(config, root)  # may train, which turns gradients on
        with torch.no_grad():
            _kept[key] = _look(subject, config)
    return _kept[key]


_kept: dict[str, Looked] = {}


def _look(subject: Subject, config: Config) -> Looked:
    tokens = cut(subject.tokens[: config.analysis.texts], config.analysis.length, subject.words)
    hidden = hidden_of(subject.model, tokens)
    model = subject.model.double()
    seen = model.look(hidden.double(), tokens != 0).double()
    special = torch.tensor([word in SPECIAL for word in subject.words])[tokens]
    before = probabilities(model, seen.attention, seen)
    return Looked(subject, model, tokens, subject.labels[: len(tokens)], seen, special, before)


def cut(tokens: Tensor, length: int | None, words: list[str]) -> Tensor:
    """The first `length` tokens of each text (a [SEP] in the last place, where one was cut off), without columns of padding alone."""
    if length is not None and tokens.shape[1] > length:
        rest, tokens = tokens[:, length:], tokens[:, :length].clone()
        if SPECIAL[1] in words:
            tokens[(rest != 0).any(-1), -1] = words.index(SPECIAL[1])
    return tokens[:, : int((tokens != 0).sum(-1).max())]


def percent(found: Tensor) -> float:
    """The share of True, in %."""
    return 100 * float(found.double().mean())


def mean(values: Tensor) -> float:
    """Their mean; 0 of none."""
    return float(values.double().mean()) if values.numel() else 0.0

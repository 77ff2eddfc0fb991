"""The explained layer of a cell's test texts, in float64, with the prediction that it leads to."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from projects.explaining.config import Config
from projects.explaining.models.classifier import Classifier, ExplainedLayer, hidden_of, mix_values
from projects.explaining.tasks.classification import TrainedClassifier, trained_classifier

SPECIAL = ("[CLS]", "[SEP]")
CACHED = 2
VALIDATION = "validation_accuracy"  # the curve by which a gate says whether the classifier's training had ended
TOLERANCE = (
    1e-8  # relative: what of a row's weights, or of an output, is no more than the rounding of solvers in float64
)


@dataclass(frozen=True, eq=False)
class ExplainedTexts:
    """Test texts with their explained layer.

    Attributes:
        trained: The classifier, with all of the test split.
        model: The same classifier, in float64.
        tokens: `(t, m)`.
        labels: `(t)`.
        layer: The explained layer.
        special: `(t, m)`, True for [CLS] and [SEP], and for a first token that asks the explained query.
        predicted: `(t, classes)`, the probabilities under the model's own attention.
    """

    trained: TrainedClassifier
    model: Classifier
    tokens: Tensor
    labels: Tensor
    layer: ExplainedLayer
    special: Tensor
    predicted: Tensor

    def probabilities(self, attention: Tensor) -> Tensor:
        """Of the classes, with these weights `(…, t, h, m)` in the explained layer: `(…, t, classes)`."""
        return probabilities(self.model, attention, self.layer)

    def longer(self) -> float:
        """The share of texts with more tokens than a value is wide, in %: in the others nothing can be removed."""
        return 100 * float((self.layer.mask.sum(-1) > self.layer.values.shape[-1]).double().mean())

    def words(self, text: int) -> list[str]:
        """The tokens of a text as words."""
        return [self.trained.words[token] for token in self.tokens[text][self.layer.mask[text]].tolist()]


def probabilities(model: Classifier, attention: Tensor, layer: ExplainedLayer) -> Tensor:
    """What a model predicts with these weights `(…, t, h, m)` in its explained layer: `(…, t, classes)`."""
    return model.classify(layer, mix_values(attention, layer)).softmax(-1)


def explained_texts(config: Config, root: Path, *, seed: int | None = None) -> ExplainedTexts:
    """The first `analysis.texts` test texts under the configured classifier.

    The latest are cached, because a table's rows share them; they must not be changed.

    Args:
        config: The cell's.
        root: The folder of the repository.
        seed: Of another classifier than the config's.
    """
    config = replace(
        config, analysis=replace(config.analysis, attention="raw"), seed=config.seed if seed is None else seed
    )
    key = repr((config, root))
    if key not in _cache:
        while len(_cache) >= CACHED:
            del _cache[next(iter(_cache))]
        trained = trained_classifier(config, root)  # may train, which turns gradients on
        with torch.no_grad():
            _cache[key] = _explain(trained, config)
    return _cache[key]


_cache: dict[str, ExplainedTexts] = {}


def _explain(trained: TrainedClassifier, config: Config) -> ExplainedTexts:
    device = next(trained.model.parameters()).device
    tokens = cut(trained.tokens[: config.analysis.texts], config.analysis.length, trained.words).to(device)
    hidden = hidden_of(trained.model, tokens)
    model = trained.model.double()
    layer = model.explained_layer(hidden.double(), tokens != 0).double()
    special = torch.tensor([word in SPECIAL for word in trained.words], device=device)[tokens]
    if config.model.query == "first":
        special[:, 0] = True
    predicted = probabilities(model, layer.attention, layer)
    labels = trained.labels[: len(tokens)].to(device)
    return ExplainedTexts(trained, model, tokens, labels, layer, special, predicted)


def cut(tokens: Tensor, length: int | None, words: list[str]) -> Tensor:
    """The first `length` tokens of each text, without columns that hold only padding. A text that was cut keeps a [SEP] as its last token."""
    if length is not None and tokens.shape[1] > length:
        rest, tokens = tokens[:, length:], tokens[:, :length].clone()
        if SPECIAL[1] in words:
            tokens[(rest != 0).any(-1), -1] = words.index(SPECIAL[1])
    return tokens[:, : int((tokens != 0).sum(-1).max())]


def keeps(error: Tensor, values: Tensor) -> Tensor:
    """Which rows keep their output: those whose error `(…, h, n)` is rounding against the largest of the head's values `(…, h, m, e)`."""
    kept: Tensor = error <= TOLERANCE * values.abs().amax((-2, -1))[..., None]
    return kept


def percent(true: Tensor) -> float:
    """The share of True, in %."""
    return 100 * float(true.double().mean())


def mean(values: Tensor) -> float:
    """Their mean; 0 if there are none."""
    return float(values.double().mean()) if values.numel() else 0.0

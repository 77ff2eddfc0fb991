"""Each importance on a classifier whose answer can be worked out by hand."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from projects.explaining.analyses.attributions import (
    gradients,
    integrated_gradients,
    norm_based,
    occlusion,
    output_projection,
    rollout,
)
from projects.explaining.analyses.faithfulness import occlusion_importance
from projects.explaining.models.classifier import Classifier, ExplainedLayer, hidden_of, mix_values
from tests.projects.explaining.test_models import Sixth, models


class Power(Classifier):
    """The first class has the probability s^power, s the sum over tokens of w · x; tokens 1, 2, 3 … have embeddings of their own."""

    table = torch.tensor([[0.0, 0.0], [0.1, 0.0], [0.2, 0.1], [-0.1, 0.1], [0.3, 0.2]], dtype=torch.float64)
    weight = torch.tensor([1.2, 0.9], dtype=torch.float64)  # of length 1.5

    def __init__(self, power: int) -> None:
        super().__init__()
        self.power = power
        self.none = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def embed(self, tokens):
        return self.table[tokens]

    def lower(self, embedded, mask, replace=None):
        return embedded

    def upper(self, hidden, mask, replace=None):
        likely = ((hidden @ self.weight) * mask).sum(-1) ** self.power
        return torch.stack([likely, 1 - likely], -1).log()  # whose softmax is itself


def texts_of(model: Classifier, tokens: list[list[int]], special: tuple[int, ...] = ()) -> SimpleNamespace:
    """What importances read of texts; padding is 0, and `special` are places."""
    numbers = torch.tensor(tokens)
    mask = numbers != 0
    is_special = torch.zeros_like(mask)
    is_special[:, list(special)] = True
    layer = SimpleNamespace(mask=mask, residual=None)
    with torch.no_grad():
        predicted = model(numbers).softmax(-1)
    return SimpleNamespace(model=model, tokens=numbers, layer=layer, special=is_special, predicted=predicted)


# Of tokens 1 to 4, w · x.
ADDS = [0.12, 0.33, -0.03, 0.54]


def test_of_a_linear_model_both_signed_gradients_are_its_terms():
    texts = texts_of(Power(1), [[4, 2, 3, 1], [4, 1, 0, 0]])  # of the class s = 0.96, and 0.66
    size, product = gradients(texts)
    assert torch.allclose(size, torch.tensor([[1.5] * 4, [1.5, 1.5, 0, 0]]).double())
    expected = torch.tensor([[0.54, 0.33, -0.03, 0.12], [0.54, 0.12, 0, 0]]).double()
    assert torch.allclose(product, expected)
    found = integrated_gradients(texts, steps=1)
    assert torch.allclose(found.attributions, expected)
    assert torch.allclose(found.error, torch.zeros(2).double())


def test_they_are_about_the_likeliest_class():
    texts = texts_of(Power(1), [[2, 1]])  # s = 0.45, so the likelier class has 1 − s
    _, product = gradients(texts)
    assert product[0].tolist() == pytest.approx([-0.33, -0.12])
    assert integrated_gradients(texts).attributions[0].tolist() == pytest.approx([-0.33, -0.12])


def test_integrated_gradients_add_up_where_gradient_times_input_does_not():
    """y = s²: the gradient at the text is 2s w, its mean along the way s w."""
    texts = texts_of(Power(2), [[4, 2, 1]])
    s = 0.99
    _, product = gradients(texts)
    assert product[0].tolist() == pytest.approx([2 * s * adds for adds in (0.54, 0.33, 0.12)])
    found = integrated_gradients(texts, steps=3)
    assert found.attributions[0].tolist() == pytest.approx([s * adds for adds in (0.54, 0.33, 0.12)])
    assert float(found.error[0]) == pytest.approx(0, abs=1e-12)


def test_the_error_of_completeness_says_that_steps_are_too_few():
    """y = s³: the gradient half of the way is ¾ s² w, where its mean is s² w. A midpoint rule's error falls with the square of the steps."""
    texts = texts_of(Power(3), [[4, 2, 1]])
    errors = [float(integrated_gradients(texts, steps=steps).error[0]) for steps in (1, 2, 4)]
    assert errors == pytest.approx([0.99**3 / (4 * steps**2) for steps in (1, 2, 4)])
    assert float(integrated_gradients(texts).error[0]) < 1e-4


def test_the_baseline_keeps_special_tokens():
    """y = s² with the first token at both ends: 0.54 to 0.99, by two tokens that share it as 0.33 to 0.12."""
    texts = texts_of(Power(2), [[4, 2, 1]], special=(0,))
    found = integrated_gradients(texts)
    gain = 0.99**2 - 0.54**2
    assert found.attributions[0].tolist() == pytest.approx([0, gain * 0.33 / 0.45, gain * 0.12 / 0.45])
    assert float(found.error[0]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("which", [0, 1])
def test_integrated_gradients_of_the_two_classifiers_are_complete(which):
    model = models()[which].double()
    found = integrated_gradients(texts_of(model, [[2, 3, 3, 2, 3, 2], [3, 2, 2, 0, 0, 0]], special=(0,)))
    assert not found.attributions[1, 3:].any()
    assert float(found.error.max()) < 1e-3 * float(found.attributions.abs().sum())


class Layers(Classifier):
    """Layers of attention with given weights (h, m, m)."""

    def __init__(self, *layers: torch.Tensor) -> None:
        super().__init__()
        self.layers = layers

    def embed(self, tokens):
        return tokens[..., None].double()

    def lower(self, embedded, mask, replace=None):
        for index, layer in enumerate(self.layers):
            replace(index, layer.expand(len(embedded), -1, -1, -1), embedded, mask)
        return embedded


def roll(weights: list[float], *layers: list, residual: bool = False) -> list[float]:
    tokens = torch.ones(1, len(weights), dtype=torch.long)
    layer = SimpleNamespace(residual=torch.zeros(1, 1) if residual else None)
    model = Layers(*(torch.tensor(one, dtype=torch.float64) for one in layers))
    row = torch.tensor([[weights]], dtype=torch.float64)
    return rollout(SimpleNamespace(model=model, tokens=tokens, layer=layer), row)[0].tolist()


FIRST, SECOND = [[[0.2, 0.8], [0.6, 0.4]]], [[[1.0, 0.0], [0.5, 0.5]]]


def test_rollout_of_two_tokens_by_hand():
    # 0.3 · (0.2, 0.8) + 0.7 · (0.6, 0.4) = (0.48, 0.52), and half of (0.3, 0.7) itself
    assert roll([0.3, 0.7], FIRST) == pytest.approx([0.39, 0.61])
    # with a residual the row itself is (0.65, 0.35), and 0.65 · (0.2, 0.8) + 0.35 · (0.6, 0.4) = (0.34, 0.66)
    assert roll([0.3, 0.7], FIRST, residual=True) == pytest.approx([0.495, 0.505])
    # heads are averaged: of these two the first layer's weights are the mean
    assert roll([0.3, 0.7], [[[0.4, 0.6], [0.2, 0.8]], [[0.0, 1.0], [1.0, 0.0]]]) == pytest.approx([0.39, 0.61])
    # the last layer comes first: (0.3, 0.7) is (0.475, 0.525) in the second, of which the first makes (0.4425, 0.5575)
    assert roll([0.3, 0.7], FIRST, SECOND) == pytest.approx([0.4425, 0.5575])
    assert roll([0.3, 0.7]) == pytest.approx([0.3, 0.7])


@pytest.mark.parametrize("which", [0, 1])
def test_rollout_of_the_two_classifiers_is_a_distribution_over_real_tokens(which):
    model = models()[which].double()
    texts = texts_of(model, [[2, 3, 3, 2, 3, 2], [3, 2, 2, 0, 0, 0]])
    layer = model.explained_layer(hidden_of(model, texts.tokens), texts.layer.mask)
    texts.layer = layer
    rolled = rollout(texts, layer.attention.detach())
    assert rolled.sum(-1).tolist() == pytest.approx([1, 1])
    assert not rolled[1, 3:].any()
    assert (layer.residual is not None) == (which == 1)
    if which == 1:
        assert float(rolled[0, 0]) > 0.5 * 0.5  # half of the way down stays at [CLS], in each of two layers


def test_norms_by_hand():
    """Two heads with values one wide. A token's vectors of all heads are added before the norm is taken, so that they can cancel out."""
    weights = torch.tensor([[[0.5, 0.5], [0.25, 0.75]]]).double()
    values = torch.tensor([[[[2.0], [4.0]], [[4.0], [0.0]]]]).double()
    layer = ExplainedLayer(weights, values, values, torch.ones(1, 2, dtype=torch.bool), None)
    apart = torch.tensor([[3.0, 0.0], [0.0, 4.0]])  # token 0: (0.5 · 2 · 3, 0.25 · 4 · 4)
    assert norm_based(layer, weights, apart)[0].tolist() == pytest.approx([5, 6])
    against = torch.tensor([[1.0, -1.0]])
    assert norm_based(layer, weights, against)[0].tolist() == pytest.approx([0, 2])
    assert norm_based(layer, -2 * weights, apart)[0].tolist() == pytest.approx([10, 12])


def test_the_output_projection_makes_the_classifiers_output():
    encoder, bert = (model.double() for model in models())
    tokens = torch.tensor([[2, 3, 3, 2, 3, 2]])
    with torch.no_grad():
        layer = encoder.explained_layer(hidden_of(encoder, tokens), tokens != 0)
        mixed = mix_values(layer.attention, layer)
        made = mixed.flatten(-2) @ output_projection(encoder).T + encoder.output.bias
        assert torch.allclose(made, encoder(tokens))
        # [CLS] alone has weight, so that its norm is that of all that the layer adds
        layer = bert.explained_layer(hidden_of(bert, tokens), tokens != 0)
        only = torch.zeros_like(layer.attention)
        only[..., 0] = 1
        dense = bert.layers[-1].attention.output.dense
        added = dense(mix_values(only, layer).flatten(-2)) - dense.bias
        assert norm_based(layer, only, output_projection(bert))[0].tolist() == pytest.approx(
            [float(added.norm())] + [0] * 5
        )
    with pytest.raises(TypeError, match="of Power is not known"):
        output_projection(Power(1))


def test_occlusion_has_a_sign_and_its_change_is_that_of_the_table_faithfulness():
    texts = texts_of(Power(1), [[4, 2, 3, 1], [4, 1, 0, 0], [4, 0, 0, 0]])
    drop, change = occlusion(texts)
    assert drop[0].tolist() == pytest.approx([0.54, 0.33, -0.03, 0.12])
    assert drop[1].tolist() == pytest.approx([0.54, 0.12, 0, 0])
    assert not drop[2].any()  # of one token nothing would be left
    assert torch.allclose(change, drop.abs())  # of two classes
    model = Sixth()
    frozen = Hashable(**vars(texts_of(model, [[3, 2, 3, 2, 2, 3, 2], [2, 2, 3, 3, 3, 2, 0]])))
    assert torch.allclose(occlusion(frozen).change, occlusion_importance(frozen, 2))


class Hashable(SimpleNamespace):
    """As texts are, whose importances are cached."""

    __hash__ = object.__hash__

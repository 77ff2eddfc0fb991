"""Other answers to the question which tokens a prediction rests on: the rivals of attention weights.

y is the probability of the likeliest class, x_j the embedding of token j (before positions are added), A_l a layer's attention, mean over heads.

gradient              ‖∂y / ∂x_j‖                                                                                   (Simonyan et al. 2014)
gradient × input      ∂y / ∂x_j · x_j, signed; through the attention too, unlike `faithfulness.gradient_importance`  (Shrikumar et al. 2017)
integrated gradients  (x_j − b_j) · ∫₀¹ ∂y / ∂x_j (b + s (x − b)) ds, with a baseline b; they sum to y(x) − y(b)     (Sundararajan et al. 2017)
rollout               a row of Π_l (½ A_l + ½ I), the explained row's                                               (Abnar & Zuidema 2020)
norm-based            ‖Σ_h α_hj f_h(x_j)‖, f_h(x) = value of head h through its part of the output projection       (Kobayashi et al. 2020)
occlusion             what y loses when token j becomes padding in its place; as Li et al. 2016, without a shift of positions

The baseline of integrated gradients is the zero vector in place of every token but the special ones, which stay: [CLS],
[SEP], a question. In the small encoder that is padding's own embedding. Formulas only, none of the released code;
Captum is no dependency.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from projects.explaining.analyses.distances import tvd
from projects.explaining.analyses.explained_layer import ExplainedTexts
from projects.explaining.analyses.faithfulness import AT_ONCE, occluded_copies
from projects.explaining.data import PADDING
from projects.explaining.models.bert import Bert
from projects.explaining.models.classifier import Classifier, ExplainedLayer, hidden_of
from projects.explaining.models.encoder import Encoder

STEPS = 64  # of the integral [our choice]; the error of completeness says whether they are enough
GRADIENTS_AT_ONCE = 8  # texts, or points of a path: a backward pass keeps the attention of every layer
RESIDUAL = 0.5  # how much of a token's state rollout takes from the token itself (Abnar & Zuidema 2020)


class Integrated(NamedTuple):
    """Integrated gradients, and how far they miss completeness.

    Attributes:
        attributions: `(t, m)`, 0 at padding and at special tokens.
        error: `(t)`, |their sum − (y(x) − y(b))|, as a probability.
    """

    attributions: Tensor
    error: Tensor


class Occluded(NamedTuple):
    """What occluding each token in its place does, `(t, m)`, 0 at padding.

    Attributes:
        drop: What the likeliest class's probability loses; negative where it gains.
        change: The total variation of the prediction.
    """

    drop: Tensor
    change: Tensor


def probability(model: Classifier, embedded: Tensor, mask: Tensor, classes: Tensor) -> Tensor:
    """Of one class per text: embeddings `(b, m, w)`, mask `(b, m)`, classes `(b)` -> `(b)`."""
    predicted = model.upper(model.lower(embedded, mask), mask).softmax(-1)
    return predicted.gather(-1, classes[:, None])[:, 0]


def gradient_at(model: Classifier, embedded: Tensor, mask: Tensor, classes: Tensor) -> Tensor:
    """The gradient of `probability` with respect to the embeddings: `(b, m, w)`."""
    parts = []
    for x, real, likeliest in zip(
        *(torch.split(one, GRADIENTS_AT_ONCE) for one in (embedded, mask, classes)), strict=True
    ):
        point = x.detach().requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(probability(model, point, real, likeliest).sum(), point)
        parts.append(gradient)
    return torch.cat(parts)


def gradients(texts: ExplainedTexts) -> tuple[Tensor, Tensor]:
    """Gradient and gradient × input.

    Args:
        texts: The texts that are explained.

    Returns:
        The norm of the gradient and its product with the embedding, `(t, m)` each, 0 at padding.
    """
    mask = texts.tokens != PADDING
    embedded = texts.model.embed(texts.tokens).detach()
    gradient = gradient_at(texts.model, embedded, mask, texts.predicted.argmax(-1))
    return gradient.norm(dim=-1) * mask, (gradient * embedded).sum(-1) * mask


def integrated_gradients(texts: ExplainedTexts, steps: int = STEPS) -> Integrated:
    """Integrated gradients by the midpoint rule.

    Args:
        texts: The texts that are explained.
        steps: Points at which the gradient is taken, (i + ½) / steps of the way from the baseline. Default: 64.
    """
    model = texts.model
    attributions = torch.zeros(texts.tokens.shape, dtype=torch.float64, device=texts.tokens.device)
    error = attributions.new_zeros(len(texts.tokens))
    for text, likeliest in enumerate(texts.predicted.argmax(-1)):
        real = texts.layer.mask[text]
        embedded = model.embed(texts.tokens[text][real][None]).detach()  # 1 n w
        way = embedded * ~texts.special[text][real][None, :, None]
        baseline = embedded - way
        share = (torch.arange(steps, dtype=way.dtype, device=way.device) + 0.5) / steps
        path = baseline + share[:, None, None] * way
        mask, classes = real[real].expand(steps, -1), likeliest.expand(steps)
        own = (gradient_at(model, path, mask, classes).mean(0) * way[0]).sum(-1)
        with torch.no_grad():
            ends = probability(model, torch.cat([embedded, baseline]), real[real].expand(2, -1), likeliest.expand(2))
        attributions[text, real] = own.double()
        error[text] = (own.sum() - (ends[0] - ends[1])).abs()
    return Integrated(attributions, error)


@torch.no_grad()
def rollout(texts: ExplainedTexts, weights: Tensor) -> Tensor:
    """Attention rollout to the explained row.

    Args:
        texts: The texts that are explained.
        weights: The explained layer's, `(t, h, m)`: the model's own or others in their place.

    Returns:
        How much of the explained row's state comes from each token, `(t, m)`. The explained layer mixes in the first
        token's own state where the model does (BERT's last layer); the small encoder's pooling query has no state of
        its own.
    """
    rows = []
    for part in torch.split(torch.arange(len(weights), device=weights.device), AT_ONCE):
        lower: list[Tensor] = []

        def look(index: int, attention: Tensor, values: Tensor, mask: Tensor, seen: list[Tensor] = lower) -> Tensor:
            seen.append(attention.mean(1))
            return attention

        tokens = texts.tokens[part]
        texts.model.lower(texts.model.embed(tokens), tokens != PADDING, look)
        row = weights[part].mean(1)  # t m
        if texts.layer.residual is not None:
            first = torch.zeros_like(row)
            first[:, 0] = 1
            row = RESIDUAL * first + (1 - RESIDUAL) * row
        for attention in reversed(lower):
            row = RESIDUAL * row + (1 - RESIDUAL) * torch.einsum("tn,tnm->tm", row, attention.to(row.dtype))
        rows.append(row)
    return torch.cat(rows)


def norm_based(layer: ExplainedLayer, weights: Tensor, projection: Tensor) -> Tensor:
    """The norm of what each token adds to the explained layer's output, in all heads together.

    Args:
        layer: The explained layer; its values have their bias.
        weights: `(t, h, m)`.
        projection: Of the heads' outputs, side by side, `(w, h · e)`.

    Returns:
        `(t, m)`.
    """
    weighted = (weights[..., None] * layer.values).movedim(1, 2).flatten(-2)  # t m (h e)
    size: Tensor = (weighted @ projection.detach().to(weighted.dtype).T).norm(dim=-1)
    return size


def output_projection(model: Classifier) -> Tensor:
    """What the explained layer's mixed values go through next, `(w, h · e)`: BERT's output projection, the small encoder's map to the classes.

    Raises:
        TypeError: The model is neither of the two.
    """
    if isinstance(model, Bert):
        projection: Tensor = model.layers[-1].attention.output.dense.weight
    elif isinstance(model, Encoder):
        projection = model.output.weight
    else:
        raise TypeError(f"the output projection of {type(model).__name__} is not known")
    return projection.detach()


@torch.no_grad()
def occlusion(texts: ExplainedTexts) -> Occluded:
    """Every token of every text occluded in its place, one forward pass each. A text of one token is left alone."""
    drop = torch.zeros(texts.tokens.shape, dtype=torch.float64, device=texts.tokens.device)
    change = torch.zeros_like(drop)
    for text, before in enumerate(texts.predicted):
        places = texts.layer.mask[text].nonzero()[:, 0]
        if len(places) < 2:
            continue
        copies = occluded_copies(texts.tokens[text][places], in_place=True)
        after = torch.cat(
            [
                texts.model.upper(hidden_of(texts.model, part, AT_ONCE), part != PADDING).softmax(-1)
                for part in torch.split(copies, AT_ONCE)
            ]
        )
        likeliest = before.argmax()
        drop[text, places] = (before[likeliest] - after[:, likeliest]).double()
        change[text, places] = tvd(after, before).double()
    return Occluded(drop, change)

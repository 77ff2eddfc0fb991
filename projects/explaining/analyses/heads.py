"""One text through any Hugging Face encoder or decoder: every head's explained row, raw and effective, and what it agrees with.

The explained row is the first token's in an encoder ([CLS] in BERT), the last token's in a causal model: what is
predicted passes through it. What is predicted, y: the probability of the likeliest class, or next token, of a model
with such a head; of one without, how far the row's last state stands out of the text's mean, cᵀh with c = h − mean held
fixed.

    gradients    |∂y / ∂x_j · x_j|, x the embeddings of the tokens                     one backward pass
    occlusion    how y's distribution (total variation) or the row's last state (1 − cosine) changes when token j is hidden from all others where it
                 stands, by the attention mask                                         one forward pass per token
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from projects.explaining.analyses.distances import kendall, tvd
from projects.explaining.analyses.null_space import null_space, spread
from projects.explaining.models.observed import Layer, observed
from regard.effective import effective_attention, output_error
from regard_lab.common.errors import UserError

Against = Literal["gradients", "occlusion"]
AGAINST: tuple[Against, ...] = ("gradients", "occlusion")
ROWS = 16  # of each head whose null share is computed
AT_ONCE = 16  # occluded copies of a text


@dataclass(frozen=True, eq=False)
class Head:
    """One head: weights of the explained row `(m)`, raw and effective, and numbers on them.

    Attributes:
        layer: From 0.
        head: From 0.
        raw: As the model has them.
        effective: Under the definition that was asked for.
        null_share: Of the squared norm of the head's rows, what its values do not see, mean over at most `ROWS` of
            them.
        moved: Total variation between raw and effective weights.
        error: The largest change of the row's output, against the largest of the values.
        agreement: Kendall's τ over tokens that are not special, by (importance, "raw" or "effective").
    """

    layer: int
    head: int
    raw: Tensor
    effective: Tensor
    null_share: float
    moved: float
    error: float
    agreement: dict[tuple[str, str], float]


@dataclass(frozen=True, eq=False)
class Explanation:
    """One text: its tokens as words, which row is explained, and every head."""

    words: list[str]
    special: list[bool]
    row: int
    causal: bool
    definition: str
    heads: list[Head]


def explained(
    model: Any,
    inputs: dict[str, Tensor],
    words: list[str],
    special: Tensor,
    definition: str,
    against: tuple[Against, ...],
) -> Explanation:
    """One text, explained.

    Args:
        model: A Hugging Face model in evaluation mode.
        inputs: `input_ids` and `attention_mask` of one text, `(1, m)`, without padding.
        words: Its tokens.
        special: `(m)`, True for tokens that take part in no order.
        definition: E1 to E6.
        against: With which importances weights are compared.

    Raises:
        UserError: The model's attention cannot be observed, or it takes no embeddings in place of tokens.
    """
    layers: list[Layer] = []
    embedded = model.get_input_embeddings()(inputs["input_ids"]).detach().requires_grad_("gradients" in against)
    mask = inputs["attention_mask"]
    with torch.set_grad_enabled("gradients" in against), observed(model, layers.append):
        outputs = model(inputs_embeds=embedded, attention_mask=mask)
    layers = [layer for layer in layers if layer.attention.shape[-2:] == (len(words), len(words))]
    if not layers:
        raise UserError(f"{type(model).__name__} has no self attention over the {len(words)} tokens of the text")
    causal = not bool(layers[0].visible.triu(1).any())
    row = len(words) - 1 if causal else 0
    importances: dict[str, Tensor] = {}
    if "gradients" in against:
        (gradient,) = torch.autograd.grad(target(outputs, row), embedded)
        importances["gradients"] = (gradient * embedded.detach()).sum(-1).abs()[0]
    with torch.no_grad():
        if "occlusion" in against:
            importances["occlusion"] = occlusion(model, embedded.detach(), mask, outputs, row)
        heads = [head for layer in layers for head in _heads(layer, row, definition, special, importances)]
    return Explanation(words, special.tolist(), row, causal, definition, heads)


def _heads(layer: Layer, row: int, definition: str, special: Tensor, importances: dict[str, Tensor]) -> list[Head]:
    attention, values = layer.attention[0].detach().double(), layer.values[0].detach().double()
    shares = null_space(attention, values, layer.visible, spread(attention.shape[1], ROWS)).share.mean(-1)
    raw = attention[:, row] / attention[:, row].sum(-1, keepdim=True)
    seen = layer.visible[row]
    effective = effective_attention(raw[:, None], values, definition=definition, key_mask=seen)[:, 0]
    error = output_error(effective[:, None], raw[:, None], values)[:, 0] / values.abs().amax((-2, -1))
    free = seen & ~special
    heads = []
    for head in range(len(raw)):
        agreement = {
            (name, kind): kendall(weights[head], importance, free)[0]
            for name, importance in importances.items()
            for kind, weights in (("raw", raw), ("effective", effective))
            if int(free.sum()) > 1
        }
        moved = float((raw[head] - effective[head]).abs().sum() / 2)
        heads.append(
            Head(
                layer.number,
                head,
                raw[head],
                effective[head],
                float(shares[head]),
                moved,
                float(error[head]),
                agreement,
            )
        )
    return heads


def prediction(outputs: Any, row: int) -> Tensor | None:
    """The distribution over classes or next tokens, `(b, c)`; `None` for a model without such a head."""
    logits: Tensor | None = getattr(outputs, "logits", None)
    if logits is None:
        return None
    return (logits if logits.ndim == 2 else logits[:, row]).softmax(-1)


def target(outputs: Any, row: int) -> Tensor:
    """y, a number."""
    predicted = prediction(outputs, row)
    if predicted is not None:
        return predicted.amax(-1).sum()
    states: Tensor = outputs.last_hidden_state
    stands_out = (states[:, row] - states.mean(1)).detach()
    return (stands_out * states[:, row]).sum()


def occlusion(model: Any, embedded: Tensor, mask: Tensor, outputs: Any, row: int) -> Tensor:
    """What hiding each token where it stands changes: `(m)`. The explained row's own token keeps its query."""
    before = prediction(outputs, row)
    state = None if before is not None else outputs.last_hidden_state[:, row]
    n = embedded.shape[1]
    hidden = mask.expand(n, n) * (1 - torch.eye(n, dtype=mask.dtype, device=mask.device))
    changes = []
    for part in torch.split(hidden, AT_ONCE):
        after = model(inputs_embeds=embedded.expand(len(part), -1, -1), attention_mask=part)
        if before is not None:
            changes.append(tvd(_of(prediction(after, row)), before))
        else:
            changes.append(1 - torch.cosine_similarity(after.last_hidden_state[:, row], _of(state), dim=-1))
    return torch.cat(changes)


def _of(tensor: Tensor | None) -> Tensor:
    assert tensor is not None
    return tensor

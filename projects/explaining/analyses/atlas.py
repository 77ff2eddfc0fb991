"""Table `atlas`: how much of their attention the heads of pre-trained models do not see, all heads, by layer and length; is the rest a distribution?

Nothing is trained. A text is cut to a length, a picture to so many patches; each head's rows (of a causal layer
`analysis.rows` of them, evenly spread) are projected on the column space of the values that they weigh (`null_space`).
A seed draws texts of its own.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from projects.explaining.analyses.null_space import NullSpace, null_space, spread
from projects.explaining.config import Config
from projects.explaining.models.observed import Layer, observed
from regard_lab import data
from regard_lab.common.errors import UserError
from regard_lab.data.subsets import drawn
from regard_lab.experiment.run_result import RunResult
from regard_lab.training.device import best_device
from regard_lab.training.pretrained import pretrained, tokenizer_of

PATCH = 14
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, as DINOv2 was trained
SPLIT = "test"


def run(config: Config, folder: Path) -> RunResult:
    """One model at one length."""
    root = Path.cwd()
    device = best_device(float64=True)
    model = loaded(config.model.checkpoint, root).to(device)
    seen: list[NullSpace] = []
    counts: list[int] = []
    with torch.no_grad():
        for inputs in inputs_of(config, root):
            layers = by_layer(model, {name: x.to(device) for name, x in inputs.items()}, config.analysis.rows)
            seen.append(NullSpace(*(torch.stack(parts) for parts in zip(*layers, strict=True))))  # each l h r
            counts.append(tokens_of(inputs))
    shares = torch.stack([one.share.mean(-1) for one in seen]).mean(0)  # l h
    return RunResult(
        metrics={
            "null_share": 100 * float(shares.mean()),
            "first_layer": 100 * float(shares[0].mean()),
            "last_layer": 100 * float(shares[-1].mean()),
            "least_head": 100 * float(shares.min()),
            "most_head": 100 * float(shares.max()),
            "null_dimension": float(torch.stack([one.dimension.double().mean() for one in seen]).mean()),
            "e1_distributions": 100 * float(torch.stack([one.e1.double().mean() for one in seen]).mean()),
            "e2_distributions": 100 * float(torch.stack([one.e2.double().mean() for one in seen]).mean()),
            "tokens": sum(counts) / len(counts),
        },
        exhibits={"heads": [[round(100 * share, 2) for share in layer] for layer in shares.tolist()]},
    )


def by_layer(model: Any, inputs: dict[str, Tensor], rows: int) -> list[NullSpace]:
    """The null spaces of each layer's heads for one text; weights are let go layer by layer."""
    shares: list[NullSpace] = []

    def see(layer: Layer) -> None:
        n = layer.attention.shape[2]
        same = bool((layer.visible == layer.visible[0]).all())
        places = torch.arange(n) if same else spread(n, rows)
        shares.append(null_space(layer.attention[0], layer.values[0], layer.visible, places))

    with observed(model, see):
        model(**inputs)
    return shares


@lru_cache(maxsize=1)
def loaded(checkpoint: str, root: Path) -> Any:
    """The model; once for the rows of a table."""
    return pretrained(checkpoint, root)


def tokens_of(inputs: dict[str, Tensor]) -> int:
    """How many tokens an input has; of a picture its patches and the class token."""
    if "input_ids" in inputs:
        return inputs["input_ids"].shape[1]
    return 1 + (inputs["pixel_values"].shape[-1] // PATCH) ** 2


def inputs_of(config: Config, root: Path) -> list[dict[str, Tensor]]:
    """What the model reads: the seed's own `analysis.texts` inputs, `analysis.length` tokens each.

    Raises:
        UserError: There are not so many inputs of that length.
    """
    length, count = config.analysis.length or config.data.length, config.analysis.texts
    everything = data.load(config.data.name, root, config.data.source)[SPLIT]
    if config.data.kind == "images":
        chosen = everything.images[config.seed * count : (config.seed + 1) * count]
        inputs = [{"pixel_values": pixels(image, side_of(length))} for image in chosen]
    else:
        tokenizer, inputs, passed = tokenizer_of(config.model.checkpoint, root), [], 0
        for text in drawn(everything.texts, None):
            ids = tokenizer(text, truncation=True, max_length=length, return_tensors="pt")["input_ids"]
            if ids.shape[1] < length:
                continue
            passed += 1
            if passed > config.seed * count:
                inputs.append({"input_ids": ids, "attention_mask": torch.ones_like(ids)})
            if len(inputs) == count:
                break
    if len(inputs) < count:
        raise UserError(f"{config.data.name} has no {count} inputs of {length} tokens for seed {config.seed}")
    return inputs


def side_of(length: int) -> int:
    """The side of the largest picture with at most `length` tokens, one of them the class token."""
    return PATCH * int((length - 1) ** 0.5)


def pixels(image: NDArray[np.uint8], side: int) -> Tensor:
    """A picture `(height, width, 3)` as the model reads it, `(1, 3, side, side)`."""
    whole = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    small = F.interpolate(whole, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
    return (small - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(DEVIATION).view(3, 1, 1)

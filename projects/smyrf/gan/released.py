"""The released BigGAN-PyTorch generator (`G_ema.pth`, 128 × 128, MIT): its tensors under the names of `networks.Generator`."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from regard_lab.common.errors import DataMissing

NORMED = "parametrizations.weight"


def released(checkpoint: str | None) -> dict[str, Tensor]:
    """The weights in that file; without it `DataMissing`, in one sentence."""
    if checkpoint is None or not Path(checkpoint).is_file():
        raise DataMissing(
            "the released BigGAN generator is not in a package or on a hub that could be asked: download the pre-trained weights of"
            f" BigGAN-PyTorch (138k) and give gan.checkpoint=PATH/G_ema.pth, got {checkpoint}"
        )
    return renamed(torch.load(checkpoint, map_location="cpu", weights_only=True))


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released names to ours. A file of another network is a ValueError with the first name that is not known."""
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        place, _, field = name.rpartition(".")
        ours = place_of(place)
        match field:
            case "sv0":  # a singular value kept for logs
                continue
            case "u0":
                found |= vectors(ours, value, state[f"{place}.weight"])
            case "stored_mean" | "stored_var":
                norm = ours if ours == "norm" else f"{ours}.norm"
                found[f"{norm}.running_{field.removeprefix('stored_')}"] = value
                found[f"{norm}.num_batches_tracked"] = torch.tensor(0)
            case "weight" if f"{place}.u0" in state:
                found[f"{ours}.{NORMED}.original"] = value
            case "gain" if ours == "norm":
                found["norm.weight"] = value
            case "weight" | "bias" | "gamma":
                found[f"{ours}.{field}"] = value
            case _:
                raise ValueError(f"not a BigGAN-PyTorch generator: what is {name!r}?")
    return found


def vectors(place: str, u: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """The two singular vectors of a spectral norm. The released code keeps one, and takes a step of the power iteration at every call."""
    matrix = weight.flatten(1)
    v = F.normalize(matrix.mT @ u[0], dim=0, eps=1e-12)
    return {f"{place}.{NORMED}.0._u": F.normalize(matrix @ v, dim=0, eps=1e-12), f"{place}.{NORMED}.0._v": v}


def place_of(place: str) -> str:
    """The module of ours that a released one became: `blocks.3.0.bn1.gain` is `blocks.3.norm1.gain`."""
    match place.split("."):
        case ["shared"]:
            return "classes"
        case ["linear"]:
            return "start"
        case ["output_layer", "0"]:
            return "norm"
        case ["output_layer", "2"]:
            return "picture"
        case ["blocks", _, "1", *rest]:
            return ".".join(["attention", *rest])
        case ["blocks", block, "0", *rest]:
            inner = ".".join(rest).replace("bn", "norm").replace("conv_sc", "shortcut")
            return f"blocks.{block}.{inner}"
    raise ValueError(f"not a BigGAN-PyTorch generator: what is {place!r}?")

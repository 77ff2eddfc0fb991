"""The released BigGAN-PyTorch generator (`G_ema.pth`, 128 × 128, MIT): its tensors under the names of `networks.Generator`."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from regard_lab.common.errors import DataMissing

NORMED = "parametrizations.weight"


def released(checkpoint: str | None) -> dict[str, Tensor]:
    """The weights in a file.

    Raises:
        DataMissing: There is no file of that name, or none is named.
    """
    if checkpoint is None or not Path(checkpoint).is_file():
        raise DataMissing(
            "the released BigGAN generator is neither in a package nor on the hub: download the pre-trained weights of"
            f" BigGAN-PyTorch (138k) and give gan.checkpoint=PATH/G_ema.pth, got {checkpoint}"
        )
    return renamed(torch.load(checkpoint, map_location="cpu", weights_only=True))


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Released names to ours; a file of another network is a ValueError with the first name that is not known."""
    weights: dict[str, Tensor] = {}
    for name, value in state.items():
        module, _, field = name.rpartition(".")
        ours = module_of(module)
        match field:
            case "sv0":  # a singular value kept for logs
                continue
            case "u0":
                weights |= vectors(ours, value, state[f"{module}.weight"])
            case "stored_mean" | "stored_var":
                norm = ours if ours == "norm" else f"{ours}.norm"
                weights[f"{norm}.running_{field.removeprefix('stored_')}"] = value
                weights[f"{norm}.num_batches_tracked"] = torch.tensor(0)
            case "weight" if f"{module}.u0" in state:
                weights[f"{ours}.{NORMED}.original"] = value
            case "gain" if ours == "norm":
                weights["norm.weight"] = value
            case "weight" | "bias" | "gamma":
                weights[f"{ours}.{field}"] = value
            case _:
                raise ValueError(f"not a BigGAN-PyTorch generator: what is {name!r}?")
    return weights


def vectors(module: str, u: Tensor, weight: Tensor) -> dict[str, Tensor]:
    """The two singular vectors of a spectral norm. The released code keeps one, and takes a step of the power iteration at every call."""
    matrix = weight.flatten(1)
    v = F.normalize(matrix.mT @ u[0], dim=0, eps=1e-12)
    return {f"{module}.{NORMED}.0._u": F.normalize(matrix @ v, dim=0, eps=1e-12), f"{module}.{NORMED}.0._v": v}


def module_of(module: str) -> str:
    """The module of ours that a released one became: `blocks.3.0.bn1.gain` is `blocks.3.norm1.gain`."""
    match module.split("."):
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
    raise ValueError(f"not a BigGAN-PyTorch generator: what is {module!r}?")

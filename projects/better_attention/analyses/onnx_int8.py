"""A model as small devices run it, on one thread of a CPU: with int8 maps, or exported to ONNX Runtime.

int8 is dynamic quantisation: the weights of every linear map have 8 bits, and its inputs are rounded as they come. W^A
multiplies from the left, is no map of a token, and stays float32. ONNX Runtime computes the exported graph in float32
with all its optimisations, and without torch's fused attention.
"""

import logging
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn

EXAMPLES = 2  # inputs to export with; fewer would make their number a constant of the graph


def quantised(module: nn.Module) -> nn.Module:
    """A copy with dynamic int8 maps; W^A is left out."""
    maps = {
        name: torch.ao.quantization.default_dynamic_qconfig
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear) and name.rpartition(".")[2] != "mixing"
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.ao's quantisation is to move to a package of its own
        copy = torch.ao.quantization.quantize_dynamic(module, maps)  # type: ignore[no-untyped-call]
    assert isinstance(copy, nn.Module)
    return copy


class OnnxModel:
    """A module in ONNX Runtime, called like the module.

    Args:
        module: The module.
        example: An input `(1, n)`; calls take `(b, n)` for any b, and this n.

    `bytes` holds the graph with its weights.
    """

    def __init__(self, module: nn.Module, example: Tensor) -> None:
        import onnxruntime  # takes half a second to load, and only this part needs it

        self.bytes = _exported(module, example.repeat(EXAMPLES, 1))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.bytes, options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def __call__(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.session.run(None, {self.name: x.numpy()})[0])


def _exported(module: nn.Module, examples: Tensor) -> bytes:
    # It warns that torchvision is missing, which no model here uses.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch's exporter
        path = Path(folder) / "model.onnx"
        program = torch.onnx.export(
            module, (examples,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False
        )
        assert program is not None
        for node in program.model.graph:
            # Where in the source the node comes from: more bytes than the weights of a small model.
            node.metadata_props.clear()
        program.save(path)
        return path.read_bytes()

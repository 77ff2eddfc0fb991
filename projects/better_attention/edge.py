"""A model as small devices run it, on one thread of a CPU: with int8 maps, or exported to ONNX Runtime.

int8 is dynamic quantisation: the weights of every linear map have 8 bits, and its inputs are rounded as they come. W^A multiplies from the left,
is no map of a token, and stays float32. ONNX Runtime computes the exported graph in float32 with all its optimisations, and without torch's
fused attention.
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
        return torch.ao.quantization.quantize_dynamic(module, maps)  # type: ignore[no-any-return]


class OnnxModel:
    """A module in ONNX Runtime, called like the module: on (b, n) for any b, and the n of `example` (1, n). `bytes`: the graph with its weights."""

    def __init__(self, module: nn.Module, example: Tensor) -> None:
        import onnxruntime  # loads for half a second, for this part alone

        self.bytes = _exported(module, example.repeat(EXAMPLES, 1))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(self.bytes, options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def __call__(self, x: Tensor) -> Tensor:
        return torch.from_numpy(self.session.run(None, {self.name: x.numpy()})[0])


def _exported(module: nn.Module, examples: Tensor) -> bytes:
    logging.getLogger("torch.onnx").setLevel(
        logging.ERROR
    )  # it warns that torchvision is not there, which no model here has
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside torch's exporter
        path = Path(folder) / "model.onnx"
        program = torch.onnx.export(
            module, (examples,), dynamo=True, dynamic_shapes=({0: torch.export.Dim("batch")},), verbose=False
        )
        assert program is not None
        for node in program.model.graph:
            node.metadata_props.clear()  # where in the source each node comes from: more bytes than a small model's weights
        program.save(path)
        return path.read_bytes()

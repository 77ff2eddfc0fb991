"""The rebuilt ViT is the graph of its package."""

import pytest
import torch

from regard_lab import models
from tests.paths import ROOT


@pytest.mark.slow
@pytest.mark.skipif(
    not models.fetched("vit", ROOT), reason="vit has not been fetched (python -m regard_lab.models vit)"
)
def test_the_vit_is_the_backbone_of_its_graph() -> None:
    """The graph resizes the position embeddings for 224 × 224, as the model does."""
    onnx = pytest.importorskip("onnx")
    from onnx.reference import ReferenceEvaluator

    whole = onnx.load(models.folder_of("vit", ROOT) / "vit_s_focus.onnx")
    last = "/backbone/layernorm/Add_1_output_0"
    nodes = list(whole.graph.node)
    nodes = nodes[: 1 + [node.output[0] for node in nodes].index(last)]
    output = onnx.helper.make_tensor_value_info(last, onnx.TensorProto.FLOAT, None)
    graph = onnx.helper.make_graph(nodes, "backbone", whole.graph.input, [output], whole.graph.initializer)
    backbone = onnx.helper.make_model(graph, opset_imports=whole.opset_import, ir_version=whole.ir_version)
    picture = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    (expected,) = ReferenceEvaluator(backbone).run(None, {"input_image": picture.numpy()})
    with torch.no_grad():
        found = models.load("vit", ROOT)(picture).last_hidden_state
    assert found.shape == (1, 257, 384)
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=5e-5)

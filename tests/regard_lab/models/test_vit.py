"""The ViT that is rebuilt out of a graph: each weight in its place, and the same numbers as the graph."""

import numpy as np
import pytest
import torch

from regard_lab import models
from regard_lab.models import vit
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


def test_a_weight_without_a_name_is_found_by_the_bias_that_is_added_to_its_product() -> None:
    """A graph of one product: its weight is called as the exporter counts, and stands transposed."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    draw = np.random.default_rng(0)
    arrays = {
        "onnx::MatMul_17": draw.normal(size=(3, 2)).astype(np.float32),
        "backbone.layer.query.bias": draw.normal(size=2).astype(np.float32),
        "backbone.layernorm.weight": np.ones(4, np.float32),
        "decoder.head.bias": np.ones(2, np.float32),
        "onnx::Concat_3": draw.normal(size=(1, 1, vit.WIDTH)).astype(np.float32),
        "onnx::Resize_4": draw.normal(size=(1, vit.PATCHES, vit.WIDTH)).astype(np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "onnx::MatMul_17"], ["product"]),
        helper.make_node("Add", ["backbone.layer.query.bias", "product"], ["y"]),
        helper.make_node("Add", ["decoder.head.bias", "product"], ["z"]),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xyz"]
    stored = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    found = vit.weights(onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], stored))
    assert set(found) == {
        "layer.query.bias",
        "layer.query.weight",
        "layernorm.weight",
        "embeddings.position_embeddings",
        "embeddings.mask_token",
    }
    assert torch.equal(found["layer.query.weight"], torch.tensor(arrays["onnx::MatMul_17"]).T)
    positions = found["embeddings.position_embeddings"]
    assert positions.shape == (1, 1 + vit.PATCHES, vit.WIDTH)
    assert torch.equal(positions[:, :1], torch.tensor(arrays["onnx::Concat_3"]))
    assert torch.equal(positions[:, 1:], torch.tensor(arrays["onnx::Resize_4"]))

"""Models with int8 maps and in ONNX Runtime against the model itself."""

import pytest
import torch

from projects.better_attention.analyses.inference import Run, built, file_mib, inputs
from projects.better_attention.analyses.onnx_int8 import quantised
from projects.better_attention.config import FOUR, PROJECT
from tests.configs import configs_of

SMALL = [
    "data.vocabulary=50",
    "data.length=6",
    "model.width=8",
    "model.heads=2",
    "model.hidden=[12]",
    "inference.batch=2",
]

config_of = configs_of(PROJECT, default="table=inference")


def run_of(*overrides: str) -> Run:
    config = config_of(*SMALL, *overrides)
    return Run(config.data, config.model, config.inference, 2, 0)


@pytest.mark.parametrize("attention", FOUR)
def test_int8_maps_are_near_and_the_mixing_stays(attention):
    run = run_of("inference.part=model", "model.width=32", "data.length=16").of(attention)
    torch.manual_seed(0)
    model = built(run)
    small, x = quantised(model), inputs(run)
    kinds = {name: type(part).__module__ for name, part in small.named_modules() if hasattr(part, "weight")}
    maps = {name for name, part in model.named_modules() if isinstance(part, torch.nn.Linear)}
    assert {name for name in maps if "quantized" in kinds[name]} == {
        name for name in maps if not name.endswith("mixing")
    }
    with torch.inference_mode():
        exact, near = model(x), small(x)
    assert not torch.equal(exact, near)
    assert torch.allclose(exact, near, atol=0.05 * float(exact.abs().max()) + 0.02)
    assert file_mib(small) < file_mib(model)


@pytest.mark.parametrize("attention", FOUR)
def test_onnx_runtime_computes_the_model_for_any_number_of_inputs(attention):
    run = run_of("inference.part=model", "model.width=32", "data.length=16", "inference.batch=5").of(attention)
    torch.manual_seed(0)
    model = built(run)
    torch.manual_seed(0)
    exported, x = built(run.of(attention, "onnx")), inputs(run)
    with torch.inference_mode():
        for part in (x, x[:1]):
            assert torch.allclose(exported(part), model(part), atol=1e-5)
    least = sum(p.numel() for p in model.parameters()) * 4 / 2**20
    assert least < file_mib(exported) < 2 * least + 0.1

"""A training step on a device that is not there: every tensor is on `meta`, so that any that is left on the host is an error.

torch's fake tensors of a GPU have no gradients in a build without CUDA; `meta` tensors have, and take the path of every device but the CPU.
"""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from projects.social_groups.models.deformable import DeformableAttention, sample_by_rows
from projects.social_groups.models.network import SocialGroups
from projects.social_groups.tasks import group_losses, person_losses
from projects.social_groups.tasks.recognition import score
from tests.projects.social_groups.made_up import config_of

# What `torch.use_deterministic_algorithms` refuses on a GPU, from its documentation (torch 2.13), as far as a network could contain it.
REFUSED = (
    "grid_sampler_2d_backward", "grid_sampler_3d_backward", "cumsum", "adaptive_avg_pool2d_backward", "adaptive_max_pool2d_backward",
    "avg_pool3d_backward", "max_pool3d_with_indices_backward", "upsample_bicubic2d_backward", "upsample_linear1d_backward",
    "upsample_trilinear3d_backward", "reflection_pad1d_backward", "reflection_pad2d_backward", "replication_pad1d_backward", "nll_loss2d",
    "_ctc_loss_backward", "put", "histc", "bincount", "kthvalue", "median", "multilabel_margin_loss_backward", "max_unpool2d",
)  # fmt: skip


class Seen(TorchDispatchMode):
    """Collects the names of all operations, those of gradients too, and refuses one on tensors of two devices; numbers may come from the host."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.name().removeprefix("aten::").partition(".")[0]
        self.names.add(name)
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor) and leaf.dim()]
        devices = {tensor.device.type for tensor in tensors}
        assert len(devices) < 2 or name in ("_to_copy", "copy_"), f"{name} on {devices}"
        return func(*args, **(kwargs or {}))


def first_queries(cost: torch.Tensor, real: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Stands in for the Hungarian matching, the one step that needs values on the host: the k-th true one is query k."""
    layers, b, k, _ = cost.shape
    grid = torch.meshgrid(*(torch.arange(size, device=cost.device) for size in (layers, b, k)), indexing="ij")
    layer, scene, true = (index.flatten() for index in grid)
    return layer, scene, true, true


def step_on_no_device(*words: str) -> set[str]:
    config = config_of("scale=laptop", *words)
    with Seen() as seen:
        model = SocialGroups(config.data, config.model).to("meta")
        drawn = torch.randn(2, config.data.channels, *config.data.grid), torch.rand(2, 12, 4)
        labels = (torch.zeros(2, size, dtype=torch.long) for size in (12, 12, 1))
        terms = score(model, tuple(tensor.to("meta") for tensor in (*drawn, *labels)), weights=config.weights)
        terms["loss"].backward()
        for name, value in (*terms.items(), *((name, p.grad) for name, p in model.named_parameters())):
            assert value is None or value.device.type == "meta", name
    return seen.names


@pytest.mark.parametrize("queries", ["sum", "single"])
def test_a_step_leaves_nothing_on_the_host_and_uses_nothing_that_determinism_refuses(monkeypatch, queries):
    monkeypatch.setattr(group_losses, "matched", first_queries)
    monkeypatch.setattr(person_losses, "matched", first_queries)
    names = step_on_no_device(f"model.queries={queries}")
    assert "index_add_" in names
    assert not names & set(REFUSED)


def test_the_list_catches_what_it_should():
    with Seen() as seen:
        torch.nn.functional.grid_sample(
            torch.randn(1, 1, 3, 3), torch.zeros(1, 2, 2, 2, requires_grad=True), align_corners=False
        ).sum().backward()
    assert seen.names & set(REFUSED) == {"grid_sampler_2d_backward"}


def test_a_tensor_left_on_the_host_is_found():
    with Seen(), pytest.raises((AssertionError, RuntimeError), match=r"on \{|same device"):
        torch.zeros(3, device="meta").index_select(0, torch.zeros(2, dtype=torch.long))


def test_on_another_device_maps_are_sampled_by_rows(monkeypatch):
    """On the CPU both forms agree (`test_deformable`)."""
    calls = []
    monkeypatch.setattr(
        "projects.social_groups.models.deformable.sample_by_rows",
        lambda *given: calls.append(1) or sample_by_rows(*given),
    )
    for device, expected in (("cpu", 0), ("meta", 1)):
        layer = DeformableAttention(width=8, heads=2, levels=1, points=2).to(device)
        query, reference, source = (
            t.to(device) for t in (torch.randn(1, 3, 8), torch.rand(1, 3, 2), torch.randn(1, 8, 4, 6))
        )
        layer(query, reference, [source]).sum().backward()
        assert len(calls) == expected

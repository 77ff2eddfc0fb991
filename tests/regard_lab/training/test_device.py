"""The device of what is heavy; and the far device of the tests, which must see what a GPU would refuse."""

import pytest
import torch
from torch import nn

from regard_lab.training import device
from tests.far_device import FAR, FarTensor, MixedDevices, far_device


def test_the_accelerator_if_there_is_one(monkeypatch):
    gpu = torch.device("cuda", 1)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: gpu)
    assert device.best_device(float64=True) == device.best_device() == gpu
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("mps"))
    assert device.best_device() == torch.device("mps")
    assert device.best_device(float64=True) == torch.device("cpu")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert device.best_device() == torch.device("cpu")


def test_a_far_tensor_has_numbers_and_meets_no_near_one(monkeypatch):
    near = torch.arange(6.0).view(2, 3)
    with far_device(monkeypatch) as mode:
        far = near.to(FAR)
        assert isinstance(far, FarTensor)
        assert device.best_device() == FAR
        assert torch.equal((far @ far.mT).cpu(), near @ near.mT)
        assert (far * torch.tensor(2.0)).cpu().sum() == 30  # a number may come from anywhere
        assert far[torch.tensor([1])].cpu().tolist() == [[3, 4, 5]]  # and so may an index
        assert float(torch.full((), 3.0, device=FAR) + far[0, 1]) == 4
        for mixed in (lambda: far + near, lambda: torch.cat([far, near]), lambda: far.numpy()):
            with pytest.raises(MixedDevices):
                mixed()
        layer = nn.Linear(3, 2)
        with pytest.raises(MixedDevices):
            layer(far)
        layer.to(FAR)(far).square().sum().backward()
        assert isinstance(layer.weight.grad, FarTensor)
        assert "aten::grid_sampler_2d_backward" not in mode.seen
        points = torch.zeros(1, 2, 2, 2, requires_grad=True)
        nn.functional.grid_sample(torch.ones(1, 1, 4, 4), points, align_corners=False).sum().backward()
        assert "aten::grid_sampler_2d_backward" in mode.seen

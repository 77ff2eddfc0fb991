"""Images on their way into the encoder: standardised, resized, augmented and cut into patches."""

import math

import numpy as np
import pytest
import torch

from projects.better_attention.models.pixels import Pixels, augmented, moments, patches


def test_patches_by_hand():
    picture = torch.arange(16.0).reshape(1, 4, 4)
    assert patches(picture, 2)[0].tolist() == [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    coloured = torch.stack((picture, picture + 100), -1)  # the colours of a pixel stand together
    assert patches(coloured, 2)[0, 1].tolist() == [2, 102, 3, 103, 6, 106, 7, 107]
    with pytest.raises(ValueError, match="3 pixels"):
        patches(picture, 3)


def test_moments_are_those_of_numpy_by_channel():
    images = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 3), dtype=np.uint8)
    mean, sd = moments(torch.from_numpy(images))
    assert mean.tolist() == pytest.approx(images.mean((0, 1, 2)).tolist(), rel=1e-6)
    assert sd.tolist() == pytest.approx(images.std((0, 1, 2)).tolist(), rel=1e-6)
    grey = moments(torch.from_numpy(images[..., 0]))
    assert grey[0].tolist() == [mean[0]]


def test_pixels_are_scaled_and_resized():
    images = torch.tensor([[[0, 255], [255, 0]]], dtype=torch.uint8)
    pixels = Pixels(channels=1, size=2, augment=False)
    pixels.adapt(images)
    assert pixels(images)[0, :, :, 0].tolist() == [[-1, 1], [1, -1]]
    larger = Pixels(channels=1, size=4, augment=True).eval()
    assert larger(images).shape == (1, 4, 4, 1)
    assert torch.equal(larger(images), larger(images))
    with pytest.raises(ValueError, match="have 1 channels, the model was built for 3"):
        Pixels(channels=3, size=2, augment=False).adapt(images)


def test_augmentation_moves_pictures_a_little_and_only_in_training():
    x = torch.zeros(400, 1, 16, 16)
    x[:, :, 4:12, 1:4] = 1.0  # a bar on the left
    torch.manual_seed(0)
    moved = augmented(x)
    left, right = moved[..., :8].sum((1, 2, 3)), moved[..., 8:].sum((1, 2, 3))
    assert 0.4 < float((right > left).float().mean()) < 0.6  # half of them mirrored
    area = moved.sum((1, 2, 3)) / 24
    assert 0.8 < float(area.mean()) < 1.25
    assert float(area.std()) > 0.05  # zoomed
    torch.manual_seed(0)
    assert torch.equal(augmented(x), moved)
    pixels, images = Pixels(1, 16, augment=True), (255 * x[:, 0]).to(torch.uint8)
    assert not torch.equal(pixels(images), pixels.eval()(images))


def test_augmentation_by_hand(monkeypatch):
    """With all draws at their least a picture is turned by −0.02 of a turn, zoomed by 0.8 in both directions, and mirrored."""
    monkeypatch.setattr(torch.Tensor, "uniform_", lambda self, low, high: self.fill_(low))
    x = torch.zeros(1, 1, 101, 101)
    x[0, 0, 50, 40] = 1  # ten pixels left of the middle
    row, column = divmod(int(augmented(x).argmax()), 101)
    # The grid says where each pixel comes from: (−10, 0) = R(θ) (−0.8 X, 0.8 Y) with θ = −7.2°, so that (X, Y) = 10 (cos θ, sin θ) / 0.8.
    turn = 2 * math.pi * 0.02
    assert column - 50 == pytest.approx(10 * math.cos(turn) / 0.8, abs=1)
    assert row - 50 == pytest.approx(-10 * math.sin(turn) / 0.8, abs=1)

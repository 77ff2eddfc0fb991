"""Super-resolution: pictures shrunk and enlarged, noise and its way back, where attention stands, and scores by hand."""

import math
from types import SimpleNamespace

import pytest
import torch

from projects.cab.analyses import floors
from projects.cab.checks import check
from projects.cab.config import Attention
from projects.cab.data.pictures import enlarged, picture_pairs, shrunk
from projects.cab.models.super_resolution import Pixels, SuperResolution, noise_loss, noisy
from projects.cab.tasks import super_resolution
from regard_lab.common.images import decode
from tests.projects.cab.cab_data import config_of


def model_of(attention: str = "softmax", *overrides: str) -> SuperResolution:
    torch.manual_seed(0)
    config = config_of("table=sr", *overrides)
    return SuperResolution(config.sr, Attention(attention, "", {}), "noncausal_self").eval()


def test_a_small_picture_is_of_means_and_comes_back_larger():
    pixels = torch.arange(16.0).view(1, 1, 4, 4) / 16
    assert shrunk(pixels, 2)[0, 0].tolist() == [[2.5 / 16, 4.5 / 16], [10.5 / 16, 12.5 / 16]]
    assert torch.equal(enlarged(shrunk(pixels, 2), 4, "nearest")[0, 0, :2, :2], torch.full((2, 2), 2.5 / 16))
    assert float(enlarged(10 * pixels, 8, "bicubic").max()) == 1
    with pytest.raises(ValueError, match="a picture of 4 × 4 cannot become one of 3 × 3"):
        shrunk(pixels, 3)


def test_who_knows_the_noise_finds_the_picture():
    """Step by step back, by the noise that the true picture implies, one arrives at that picture."""
    model = model_of()
    clean = torch.rand(2, 3, 16, 16) * 2 - 1
    model.forward = lambda seen, y, level: (y - level[0] * clean) / (1 - level[0] ** 2).sqrt()  # type: ignore[method-assign]
    made = model.sample(torch.zeros_like(clean), torch.Generator().manual_seed(0))
    torch.testing.assert_close(made, clean, atol=1e-3, rtol=0)


def test_noise_between_two_steps_by_hand():
    model = model_of("softmax", "sr.steps=2", "sr.first_noise=0.19", "sr.last_noise=0.36")
    assert model.levels().tolist() == pytest.approx([1, 0.9, 0.72])
    assert model.between(torch.tensor([0.0, 0.25, 0.5, 0.75])).tolist() == pytest.approx([1, 0.95, 0.9, 0.81])
    mixed = noisy(torch.ones(1, 3, 1, 1), torch.full((1, 3, 1, 1), 2.0), torch.tensor([0.6]))
    assert mixed.flatten().tolist() == pytest.approx([0.6 + 0.8 * 2] * 3)
    zero = SimpleNamespace(between=lambda draw: draw)
    loss = noise_loss(_Zero(zero), *(torch.zeros(1, 3, 2, 2),) * 2, torch.tensor([0.5]), torch.full((1, 3, 2, 2), -3.0))
    assert float(loss) == 3


class _Zero:
    """A model that sees no noise."""

    def __init__(self, of: SimpleNamespace) -> None:
        self.between = of.between

    def __call__(self, seen: torch.Tensor, y: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(y)


def test_attention_stands_at_its_resolutions_and_is_sized_for_them():
    model = model_of("super", "sr.high=32", "sr.multipliers=[1,2,2]", "sr.attention_at=[16]")
    found = [part.attention for part in model.modules() if isinstance(part, Pixels)]
    assert [layer.length for layer in found] == [256, 256, 256, 64]  # down, up twice, middle
    assert [layer.width for layer in found] == [16, 16, 16, 16]
    assert model.layers.parameter_count() == sum(p.numel() for layer in found for p in layer.parameters())
    out = model(torch.zeros(2, 3, 32, 32), torch.randn(2, 3, 32, 32), torch.tensor([0.5, 0.9]))
    assert out.shape == (2, 3, 32, 32)


def test_scores_by_hand():
    wanted = torch.rand(2, 3, 16, 16) * 2 - 1
    made = wanted.clone()
    made[1] = made[1] + 0.2  # a tenth, of pixels from 0 to 1
    found = super_resolution.quality_of(made, wanted)
    assert float(found["psnr"][1]) == pytest.approx(20, abs=1e-3)
    assert float(found["psnr"][0]) == pytest.approx(100)
    assert float(found["ssim"][0]) == pytest.approx(1)
    assert float(found["ssim"][1]) < 1


def test_pictures_on_the_page_are_in_rows():
    black, grey, white = (torch.full((5, 3, 4, 4), value) for value in (-1.0, 0.0, 1.0))
    page = decode(super_resolution.sheet(black, white, grey))
    assert page.shape == (4 * 5 - 1, 3 * 5 - 1, 3)
    assert [int(page[0, column, 0]) for column in (0, 5, 10)] == [0, 128, 255]


def test_floors_and_a_model_are_scored_on_the_same_pictures(made_up, tmp_path):
    config = config_of("table=sr", *made_up)
    cubic, large = (run(config, tmp_path).metrics for run in (floors.bicubic, floors.nearest))
    seen, wanted = picture_pairs(config.sr, "package")["test"]
    again = super_resolution.quality_of(seen, wanted)
    assert cubic["psnr"] == pytest.approx(float(again["psnr"].mean()))
    assert cubic["psnr"] > large["psnr"] > 0
    assert math.isfinite(large["ssim"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sr.attention_at=[12]", "sr.attention_at has 12, but the UNet's resolutions are 16, 8"),
        ("sr.groups=3", "sr.groups must divide the channels, got 3 and 8"),
        ("sr.low=5", "must divide sr.high, got 5 and 16"),
        ("sr.first_noise=0.9", "sr.first_noise is above sr.last_noise, got 0.9 and 0.5"),
    ],
)
def test_a_unet_that_cannot_be_is_refused(override, message):
    with pytest.raises(ValueError, match=message):
        check(config_of("table=sr", override))

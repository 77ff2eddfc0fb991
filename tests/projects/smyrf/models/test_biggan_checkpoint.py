"""Released weights of a generator, against the released network in plain lines."""

import itertools

import pytest
import torch
from torch.nn import functional as F

from projects.smyrf.config import Network, TrainingAttention
from projects.smyrf.models.biggan_checkpoint import released, renamed
from projects.smyrf.tasks.gan import generators
from regard_lab.common.errors import DataMissing

RELEASED = Network(
    image_size=16,
    colours=3,
    classes=5,
    width=8,
    generator=[4, 2, 1],
    discriminator=[1, 2],
    latent=9,
    shared=6,
    hierarchical=True,
    attention_resolution=8,
)


def released_state() -> dict[str, torch.Tensor]:
    """Tensors with the names of BigGAN-PyTorch, made up."""
    torch.manual_seed(0)
    state: dict[str, torch.Tensor] = {"shared.weight": torch.randn(5, 6), "blocks.0.1.gamma": torch.tensor(0.3)}

    def normed(name: str, *shape: int, bias: bool = True) -> None:
        state[f"{name}.weight"], state[f"{name}.u0"] = torch.randn(*shape), F.normalize(torch.randn(1, shape[0]))
        state[f"{name}.sv0"] = torch.ones(1)
        if bias:
            state[f"{name}.bias"] = torch.randn(shape[0])

    def statistics(name: str, channels: int) -> None:
        state[f"{name}.stored_mean"], state[f"{name}.stored_var"] = torch.randn(channels), torch.rand(channels) + 0.5

    normed("linear", 32 * 16, 3)
    for block, (a, b) in enumerate(itertools.pairwise([32, 16, 8])):
        place = f"blocks.{block}.0"
        (
            normed(f"{place}.conv1", b, a, 3, 3),
            normed(f"{place}.conv2", b, b, 3, 3),
            normed(f"{place}.conv_sc", b, a, 1, 1),
        )
        for norm, channels in (("bn1", a), ("bn2", b)):
            statistics(f"{place}.{norm}", channels)
            (
                normed(f"{place}.{norm}.gain", channels, 9, bias=False),
                normed(f"{place}.{norm}.bias", channels, 9, bias=False),
            )
    for name, shape in {"theta": (2, 16), "phi": (2, 16), "g": (8, 16), "o": (16, 8)}.items():
        normed(f"blocks.0.1.{name}", *shape, 1, 1, bias=False)
    statistics("output_layer.0", 8)
    state["output_layer.0.gain"], state["output_layer.0.bias"] = torch.randn(8), torch.randn(8)
    normed("output_layer.2", 3, 8, 3, 3)
    return state


def reference(state: dict[str, torch.Tensor], z: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """The released generator in evaluation, in plain lines from its tensors."""

    def weight(name: str) -> torch.Tensor:
        w = state[f"{name}.weight"]
        v = F.normalize(state[f"{name}.u0"] @ w.flatten(1))
        u = F.normalize(v @ w.flatten(1).T)
        return w / (v @ w.flatten(1).T @ u.T).squeeze()

    def conv(name: str, x: torch.Tensor) -> torch.Tensor:
        w = weight(name)
        return F.conv2d(x, w, state.get(f"{name}.bias"), padding=w.shape[-1] // 2)

    def norm(name: str, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x = F.batch_norm(x, state[f"{name}.stored_mean"], state[f"{name}.stored_var"])
        gain, bias = (y @ weight(f"{name}.{part}").T for part in ("gain", "bias"))
        return x * (1 + gain)[:, :, None, None] + bias[:, :, None, None]

    def double(x: torch.Tensor) -> torch.Tensor:
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)

    slices, y = z.split(3, 1), state["shared.weight"][label]
    h = F.linear(slices[0], weight("linear"), state["linear.bias"]).view(-1, 32, 4, 4)
    for block in (0, 1):
        place, condition = f"blocks.{block}.0", torch.cat([y, slices[block + 1]], 1)
        inner = conv(f"{place}.conv1", double(F.relu(norm(f"{place}.bn1", h, condition))))
        inner = conv(f"{place}.conv2", F.relu(norm(f"{place}.bn2", inner, condition)))
        h = inner + conv(f"{place}.conv_sc", double(h))
        if block == 0:
            q, k, v = conv("blocks.0.1.theta", h), conv("blocks.0.1.phi", h), conv("blocks.0.1.g", h)
            k, v = F.max_pool2d(k, 2), F.max_pool2d(v, 2)
            weights = (q.flatten(2).mT @ k.flatten(2)).softmax(-1)
            h = h + state["blocks.0.1.gamma"] * conv("blocks.0.1.o", (v.flatten(2) @ weights.mT).view(-1, 8, 8, 8))
    mean, var = state["output_layer.0.stored_mean"], state["output_layer.0.stored_var"]
    h = F.batch_norm(h, mean, var, state["output_layer.0.gain"], state["output_layer.0.bias"])
    return torch.tanh(conv("output_layer.2", F.relu(h)))


def test_released_weights_make_the_released_pictures(tmp_path):
    state = released_state()
    torch.save(state, tmp_path / "G_ema.pth")
    made = generators.generator(RELEASED, released(str(tmp_path / "G_ema.pth")), TrainingAttention("softmax", 1, 4))
    z, label = torch.randn(3, 9), torch.tensor([0, 4, 2])
    with torch.no_grad():
        assert torch.allclose(made(z, label), reference(state, z, label), atol=1e-4)
    with pytest.raises(ValueError, match="not a BigGAN-PyTorch generator: what is 'encoder"):
        renamed({"encoder.weight": torch.zeros(1)})
    with pytest.raises(DataMissing, match=r"gan.checkpoint=PATH/G_ema\.pth, got None"):
        released(None)

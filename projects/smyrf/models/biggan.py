"""BigGAN, with one self-attention block in the generator; Brock, Donahue, Simonyan, "Large Scale GAN Training", 2019.

Generator: latent → 4 × 4 map → residual blocks that double its side, their batch norms steered by class and latent →
picture in [-1, 1]. Discriminator: residual blocks that halve the side down to 4, sum over the map, class by projection:
D(x, y) = w · h(x) + e_y · h(x). All linear maps are spectrally normalised, all weights start orthogonal.

The attention block (Zhang et al., "Self-Attention Generative Adversarial Networks", 2019), with ch channels:

    θ = W_θ x (ch / 8)     φ = pool(W_φ x) (ch / 8)     g = pool(W_g x) (ch / 2)     y = x + γ W_o softmax(θ φᵀ) g      γ = 0 at the start

where `pool` takes the maximum of 2 × 2, so that there are a quarter as many keys as queries; the scores are not scaled.
"""

import functools
import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

import regard
from projects.smyrf.config import AttentionName, Network, Scheme

EPSILON = 1e-12  # of the spectral norm


def convolution(inputs: int, outputs: int, kernel: int = 3, bias: bool = True) -> nn.Module:
    """A spectrally normalised convolution that keeps the map's size."""
    return normalised(nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias))


def linear(inputs: int, outputs: int, bias: bool = True) -> nn.Module:
    """A spectrally normalised linear map."""
    return normalised(nn.Linear(inputs, outputs, bias=bias))


def normalised(layer: nn.Conv2d | nn.Linear | nn.Embedding) -> nn.Module:
    """The layer, orthogonal at first, divided by its largest singular value (one power iteration per call in training)."""
    return spectral_norm(orthogonal(layer), eps=EPSILON)


def orthogonal(layer: nn.Conv2d | nn.Linear | nn.Embedding) -> nn.Conv2d | nn.Linear | nn.Embedding:
    """The layer with orthogonal weights; on the `meta` device there is nothing to set."""
    if layer.weight.device.type != "meta":
        nn.init.orthogonal_(layer.weight)
    return layer


class ClassNorm(nn.Module):
    """Batch norm whose gain 1 + W_g c and bias W_b c come from a condition c (b, `condition`)."""

    def __init__(self, channels: int, condition: int, shared: bool) -> None:
        super().__init__()
        # As in BigGAN: no spectral norm on a table of classes.
        make = functools.partial(linear, bias=False) if shared else without_norm
        self.gain, self.bias = make(condition, channels), make(condition, channels)
        self.norm = nn.BatchNorm2d(channels, affine=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = self.gain(condition), self.bias(condition)
        out: Tensor = self.norm(x) * (1 + gain)[:, :, None, None] + bias[:, :, None, None]
        return out


def without_norm(inputs: int, outputs: int) -> nn.Module:
    """A linear map without bias and without spectral norm."""
    return orthogonal(nn.Linear(inputs, outputs, bias=False))


class Up(nn.Module):
    """A generator's block: the map's side doubles. (b, inputs, s, s) -> (b, outputs, 2 s, 2 s)"""

    def __init__(self, inputs: int, outputs: int, condition: int, shared: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = ClassNorm(inputs, condition, shared), ClassNorm(outputs, condition, shared)
        self.conv1, self.conv2 = convolution(inputs, outputs), convolution(outputs, outputs)
        self.shortcut = convolution(inputs, outputs, kernel=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = F.interpolate(F.relu(self.norm1(x, condition)), scale_factor=2)
        h = self.conv2(F.relu(self.norm2(self.conv1(h), condition)))
        # A 1 × 1 convolution before or after is the same, and four times cheaper before.
        out: Tensor = h + F.interpolate(self.shortcut(x), scale_factor=2)
        return out


class Down(nn.Module):
    """A discriminator's block; with `halve` the map's side halves. The `first` has no activation before it."""

    def __init__(self, inputs: int, outputs: int, halve: bool, first: bool) -> None:
        super().__init__()
        self.halve, self.first = halve, first
        self.conv1, self.conv2 = convolution(inputs, outputs), convolution(outputs, outputs)
        self.shortcut = convolution(inputs, outputs, kernel=1) if halve or inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv2(F.relu(self.conv1(x if self.first else F.relu(x))))
        if self.halve:
            h, x = F.avg_pool2d(h, 2), F.avg_pool2d(x, 2)  # here too the 1 × 1 convolution and the mean commute
        out: Tensor = h + self.shortcut(x)
        return out


class Attend(nn.Module):
    """The block's attention; no parameters, so that any other can take its place.

    SMYRF draws new directions at every call in training, from torch's own generator, and in evaluation from `seed`.
    """

    def __init__(
        self,
        name: AttentionName,
        rounds: int = 1,
        cluster_size: int = 4,
        scheme: Scheme = "asymmetric",
        dedup: bool = False,
    ) -> None:
        super().__init__()
        self.name, self.rounds, self.cluster_size, self.scheme, self.dedup = name, rounds, cluster_size, scheme, dedup
        self.seed = 0

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if self.name == "softmax":
            narrow = max(0, v.shape[3] - q.shape[3])  # torch's fused kernel wants one width; zeros add nothing to q · k
            return regard.functional.softmax(F.pad(q, (0, narrow)), F.pad(k, (0, narrow)), v, scale=1.0)
        generator = None if self.training else torch.Generator(q.device).manual_seed(self.seed)
        return regard.functional.smyrf(
            q,
            k,
            v,
            rounds=self.rounds,
            cluster_size=self.cluster_size,
            key_cluster_size=self.cluster_size // 4,  # a quarter as many keys as queries, as in the whole map
            scheme=self.scheme,
            dedup=self.dedup,
            scale=1.0,
            generator=generator,
        )


class SelfAttention(nn.Module):
    """The block above, on maps (b, channels, s, s)."""

    def __init__(self, channels: int, attend: Attend, gamma: float = 0.0) -> None:
        super().__init__()
        one_by_one = functools.partial(convolution, kernel=1, bias=False)
        self.theta, self.phi = one_by_one(channels, channels // 8), one_by_one(channels, channels // 8)
        self.g, self.o = one_by_one(channels, channels // 2), one_by_one(channels // 2, channels)
        self.gamma = nn.Parameter(torch.tensor(gamma))
        self.attend = attend

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.theta(x), F.max_pool2d(self.phi(x), 2), F.max_pool2d(self.g(x), 2)
        q, k, v = (part.flatten(2).mT[:, None].float() for part in (q, k, v))  # (b, ·, s, s) -> (b, 1 head, s², ·)
        out = self.attend(q, k, v)[:, 0].mT.unflatten(2, x.shape[2:])
        attended: Tensor = x + self.gamma * self.o(out.to(x.dtype))
        return attended


class Generator(nn.Module):
    """(b, latent), (b,) labels -> (b, colours, image_size, image_size) in [-1, 1]."""

    def __init__(self, network: Network, attend: Attend) -> None:
        super().__init__()
        widths = [network.width * times for times in network.generator]
        blocks, shared = len(widths) - 1, network.shared > 0
        self.network = network
        self.slices = blocks + 1 if network.hierarchical else 1
        slice_width = network.latent // self.slices
        condition = network.shared if shared else network.classes
        condition += slice_width if network.hierarchical else 0
        self.classes = orthogonal(nn.Embedding(network.classes, network.shared)) if shared else None
        self.start = linear(slice_width, widths[0] * 16)
        self.blocks = nn.ModuleList(Up(a, b, condition, shared) for a, b in itertools.pairwise(widths))
        self.attended = {8 * 2**block: block for block in range(blocks)}[network.attention_resolution]
        self.attention = SelfAttention(widths[self.attended + 1], attend, network.gamma)
        self.norm = nn.BatchNorm2d(widths[-1])
        self.picture = convolution(widths[-1], network.colours)

    def forward(self, latents: Tensor, labels: Tensor) -> Tensor:
        condition = (
            F.one_hot(labels, self.network.classes).to(latents.dtype) if self.classes is None else self.classes(labels)
        )
        first, *rest = latents.chunk(self.slices, dim=1)
        h = self.start(first).unflatten(1, (-1, 4, 4))
        for number, block in enumerate(self.blocks):
            h = block(h, torch.cat((condition, rest[number]), 1) if rest else condition)
            if number == self.attended:
                h = self.attention(h)
        return torch.tanh(self.picture(F.relu(self.norm(h))))


class Discriminator(nn.Module):
    """(b, colours, image_size, image_size), (b,) labels -> (b,) scores, high for real."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        widths = [network.colours, *(network.width * times for times in network.discriminator)]
        halvings = (network.image_size // 4).bit_length() - 1  # down to 4 × 4; what follows keeps its size
        self.blocks = nn.ModuleList(
            Down(a, b, halve=number < halvings, first=number == 0)
            for number, (a, b) in enumerate(itertools.pairwise(widths))
        )
        self.score = linear(widths[-1], 1)
        self.classes = normalised(nn.Embedding(network.classes, widths[-1]))

    def forward(self, pictures: Tensor, labels: Tensor) -> Tensor:
        h = pictures
        for block in self.blocks:
            h = block(h)
        h = F.relu(h).sum((2, 3))
        scores: Tensor = self.score(h)[:, 0] + (self.classes(labels) * h).sum(1)
        return scores

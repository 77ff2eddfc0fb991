"""A generator with an attention block as a subject of the analysis: the same tables, once its pictures are worth a look."""

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from projects.smyrf.analysis.vectors import Attend, Subject, Vectors
from projects.smyrf.gan.networks import Generator
from projects.smyrf.gan.pictures import as_bytes

SCALE = 1.0  # BigGAN's scores are not scaled


def subject(made: Generator, latents: Tensor, labels: Tensor) -> Subject:
    """Latents (b, latent) and labels (b,); the result is the picture's pixels, (b, colours · size²)."""
    edge = made.network.attention_resolution
    with torch.no_grad():
        pictures = torch.from_numpy(as_bytes(made(latents, labels)))
    return Subject(lambda: made(latents, labels).flatten(1), functools.partial(attending, made), (edge, edge), pictures)


@contextmanager
def attending(made: Generator, attend: Attend) -> Iterator[None]:
    """Within the block the generator's one attention is `attend(0, vectors)`."""
    block = made.attention
    before = block.attend
    block.attend = Instead(attend)
    try:
        yield
    finally:
        block.attend = before


class Instead(nn.Module):
    """Stands where the block's own attention stood."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.attend = attend

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.attend(0, Vectors(q, k, v, SCALE))

"""The trained models of the analysis and their inputs: an encoder that reads reviews, a vision transformer that reads pictures, a generator.

subject_of(config, root)              # the argument of `vectors.capture`
captured_of(config, root)             # and its result: the two latest are kept, because a table's rows share them
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from projects.smyrf.analyses.attention_maps.vectors import Attend, Captured, Subject, Vectors, attending, capture
from projects.smyrf.data.pictures import as_bytes, standardised
from projects.smyrf.models.biggan import Generator
from projects.smyrf.tasks.gan import generators
from regard_lab import data
from regard_lab.models import minilm, vit  # noqa: F401 (another pinned package is another code)
from regard_lab.training.device import best_device
from regard_lab.training.pretrained import pretrained, tokenizer_of
from regard_lab.training.trainer import seed_of

if TYPE_CHECKING:
    from projects.smyrf.config import Config

LINE_BREAK = "<br />"
LATENTS = 14  # the stream of a cell's seed that a generator's inputs come from
SCALE = 1.0  # BigGAN's scores are not scaled


@dataclass(frozen=True)
class Choice:
    """Everything that decides a subject, hashable; `gan` is the `repr` of the section of that name."""

    model: str
    checkpoint: str | None
    tokens: int
    examples: int
    data: str
    source: str
    seed: int
    gan: str
    config: Config = field(compare=False, repr=False)


def choice_of(config: Config) -> Choice:
    section = config.analysis
    assert section is not None
    inputs = (config.data.name, config.data.source, config.seed)
    return Choice(
        section.model, section.checkpoint, section.tokens, section.examples, *inputs, repr(config.gan), config
    )


def subject_of(config: Config, root: Path) -> Subject:
    """The configured model with the inputs of the config's seed. `DataMissing` for a model that is not available."""
    return _subject(choice_of(config), root)


def captured_of(config: Config, root: Path) -> Captured:
    """Every layer's vectors under dense attention."""
    return _captured(choice_of(config), root)


@functools.lru_cache(maxsize=2)
def _subject(choice: Choice, root: Path) -> Subject:
    return SUBJECTS[choice.model](choice, root)


@functools.lru_cache(maxsize=2)
def _captured(choice: Choice, root: Path) -> Captured:
    return capture(_subject(choice, root))


def encoder(choice: Choice, root: Path) -> Subject:
    """Reviews of exactly `tokens` tokens, longer ones cut; the result is the mean of the last layer, MiniLM's embedding of a text."""
    assert choice.checkpoint is not None
    model, tokenizer = (
        pretrained(choice.checkpoint, root).to(best_device(float64=True)),
        tokenizer_of(choice.checkpoint, root),
    )
    texts = data.load(choice.data, root, choice.source)["test"].texts
    ids = token_rows(tokenizer, texts, choice.tokens, choice.seed * choice.examples, choice.examples)
    ids = ids.to(best_device(float64=True))
    return Subject(lambda: model(ids).last_hidden_state.mean(1), functools.partial(attending, model))


def vision_transformer(choice: Choice, root: Path) -> Subject:
    """Pictures resized to `tokens` − 1 patches; the result is the class token of the last layer, DINOv2's embedding of a picture."""
    assert choice.checkpoint is not None
    model = pretrained(choice.checkpoint, root).to(best_device(float64=True))
    side = math.isqrt(choice.tokens - 1)
    pictures = pictures_of(data.load(choice.data, root, choice.source)["test"].images, choice)
    x = standardised(pictures, side * model.config.patch_size).to(best_device(float64=True))
    return Subject(
        lambda: model(x).last_hidden_state[:, 0], functools.partial(attending, model), (side, side), pictures
    )


def trained_generator(choice: Choice, root: Path) -> Subject:
    """The generator of seed 0 of the tables of GANs, trained with dense attention, or the released one, with latents and classes of the seed."""
    of_seed_0 = replace(choice.config, seed=0)
    assert of_seed_0.gan is not None
    network = of_seed_0.gan.network
    # The caller computes no gradients, but the generator may have to be trained first.
    with torch.inference_mode(False), torch.enable_grad():
        state = generators.weights(of_seed_0)
    model = generators.generator(network, state, generators.dense(of_seed_0.attention))
    random = torch.Generator().manual_seed(seed_of(choice.seed, LATENTS))
    labels = (torch.arange(choice.examples) + choice.seed * choice.examples) % network.classes
    latents = generators.latents(choice.examples, network, random, of_seed_0.gan.evaluation.clamp)
    return subject_of_generator(model, latents, labels)


def subject_of_generator(model: Generator, latents: Tensor, labels: Tensor) -> Subject:
    """A generator with its latents (b, latent) and labels (b,); the result is the picture's pixels, (b, colours · size²)."""
    side, device = model.network.attention_resolution, generators.device_of(model)
    latents, labels = latents.to(device), labels.to(device)
    with torch.no_grad():
        pictures = torch.from_numpy(as_bytes(model(latents, labels)))
    put = functools.partial(attending_in_generator, model)
    return Subject(lambda: model(latents, labels).flatten(1), put, (side, side), pictures)


@contextmanager
def attending_in_generator(model: Generator, attend: Attend) -> Iterator[None]:
    """Within the block the generator's one attention is `attend(0, vectors)`."""
    block = model.attention
    before = block.attend
    block.attend = Substitute(attend)  # type: ignore[assignment]
    try:
        yield
    finally:
        block.attend = before


class Substitute(nn.Module):
    """Takes the place of the block's own attention."""

    def __init__(self, attend: Attend) -> None:
        super().__init__()
        self.attend = attend

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return self.attend(0, Vectors(q, k, v, SCALE))


SUBJECTS: dict[str, Callable[[Choice, Path], Subject]] = {
    "encoder": encoder,
    "vit": vision_transformer,
    "gan": trained_generator,
}


def token_rows(tokenizer: Any, texts: Sequence[str], tokens: int, first: int, count: int) -> Tensor:
    """Token ids (count, tokens) of the texts that fill that many tokens, from number `first` of them on; ValueError if there are too few."""
    rows: list[list[int]] = []
    for text in texts:
        ids: list[int] = tokenizer(text.replace(LINE_BREAK, " "), truncation=True, max_length=tokens)["input_ids"]
        if len(ids) == tokens:
            rows.append(ids)
        if len(rows) == first + count:
            return torch.tensor(rows[first:])
    raise ValueError(f"only {len(rows)} of {len(texts)} texts fill {tokens} tokens; {first + count} are needed")


def pictures_of(images: Any, choice: Choice) -> Tensor:
    """The pictures of a seed, (examples, height, width, 3) uint8."""
    first, end = choice.seed * choice.examples, (choice.seed + 1) * choice.examples
    if end > len(images):
        raise ValueError(f"{choice.data} has {len(images)} pictures; seed {choice.seed} needs {end}")
    return torch.from_numpy(images[first:end])

"""The typed config of a cell, and what the lab must know of this project. Imports no torch: see `regard_lab.experiment.project`.

The tables need different things, so a config has a section for each area; those that a table does not use are null.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from regard_lab import models
from regard_lab.common.bounds import Share
from regard_lab.experiment.project import Project
from regard_lab.training.recipe import Precision, Strategy, Training

AttentionName = Literal["softmax", "smyrf"]
Scheme = Literal["asymmetric", "plain", "reformer", "random"]
MaskOrder = Literal["right", "released"]
Pairs = Literal["same_class", "same_text"]
Method = Literal[
    "softmax",
    "even",
    "smyrf",
    "smyrf_once",
    "reformer",
    "random",
    "local",
    "performer",
    "nystrom",
    "scatterbrain",
    "hyper",
    "kde",
]
NONCAUSAL = ("nystrom", "hyper", "kde")  # methods that no causal language model can run
SMYRF = ("smyrf", "smyrf_once", "reformer", "random")  # methods that are SMYRF, by its merge or its scheme


@dataclass
class Data:
    """The data set and the kind of source it comes from (`package`, `hub` or `folder`); `none` where a table reads no data set."""

    name: str
    source: str


@dataclass
class Attention:
    """The attention that a cell runs: `softmax`, or `smyrf` with its rounds, its queries per cluster, its hash and its merge of rounds.

    With `dedup` a key that a query meets in several rounds counts once; with `hash_rounds`, of which the first `rounds`
    attend, a pair weighs 1 / P(met), counted over them (ours: `regard.mechanisms.smyrf.unbiased`).
    """

    name: AttentionName
    rounds: PositiveInt
    cluster_size: PositiveInt
    scheme: Scheme
    dedup: bool
    hash_rounds: PositiveInt | None = None


# -- encoders fine-tuned on texts: tables glue, imdb, mask_bug


@dataclass
class TextTask:
    """One task: `data` and its split `train`; `held_out` names the split behind each column of the table.

    `classes` 1 is a rating to be predicted. With `neutral`, ratings become two classes by their sign, and those within
    ± `neutral` are left out. `validation` names the split that each epoch is watched on; it chooses nothing. Texts of
    fewer than `least_words` words are left out; with `pairs`, single texts become pairs of them: see `data/pairs.py`.
    """

    data: str
    train: str
    held_out: Annotated[dict[str, str], Field(min_length=1)]
    classes: PositiveInt
    metric: Literal["accuracy", "accuracy_f1", "matthews", "correlation"]
    neutral: NonNegativeFloat | None
    validation: str | None = None
    pairs: Pairs | None = None
    least_words: NonNegativeInt = 0


@dataclass
class Encoder:
    """A pre-trained encoder with a linear head. `pool`: the head reads the mean over tokens, or the encoder's pooling of the first token.

    `tokens`: texts are cut there. `trained_layers`: the last ones, which are trained with the head; all if null.
    `redraw`: when SMYRF's directions are drawn anew at every forward pass; otherwise they are those of seed 0.
    """

    checkpoint: str
    pool: Literal["mean", "first"]
    tokens: PositiveInt
    dropout: Share
    attention_dropout: Share
    trained_layers: PositiveInt | None
    redraw: Literal["never", "training", "always"]


@dataclass
class Text:
    """Fine-tuning on texts. `bucketed`: batches hold texts of about one length; the numbers of examples are all there
    are if null, and fewer than there are make a random subset, with `by_seed` another one for every seed.

    `inference`: the attention at inference, if it is not that of training. The masks are those of table `mask_bug`: see `models/mask_order.py`.
    """

    tasks: Annotated[dict[str, TextTask], Field(min_length=1)]
    train_examples: PositiveInt | None
    held_out_examples: Annotated[int, Field(ge=2)] | None
    bucketed: bool
    encoder: Encoder
    training: Training
    inference: AttentionName | None
    training_mask: MaskOrder | None
    inference_mask: MaskOrder | None
    by_seed: bool = False
    validation_examples: PositiveInt | None = None


# -- generators: tables biggan_swap, celeba_training


@dataclass
class Network:
    """A BigGAN. `generator` and `discriminator` are the channels after each step, in units of `width`: the generator's
    first is that of its 4 × 4 map, the discriminator's first that after its first block. `shared` is the width of the
    class embedding that all norms share (0: none). `hierarchical`: each block gets a slice of the latent of its own.
    `attention_resolution`: the side of the map that attends; `gamma`: the gain of its attention when training begins.
    """

    image_size: PositiveInt
    colours: PositiveInt
    classes: PositiveInt
    width: PositiveInt
    generator: Annotated[list[PositiveInt], Field(min_length=2)]
    discriminator: Annotated[list[PositiveInt], Field(min_length=1)]
    latent: PositiveInt
    shared: NonNegativeInt
    hierarchical: bool
    attention_resolution: PositiveInt
    gamma: float = 0.0


@dataclass
class GanTraining:
    """Hinge loss and two Adams. A chunk of `chunk_steps` generator steps ends in a checkpoint; `snapshots` of the averaged generator are kept.

    A step takes `batch_size` pictures per device for the generator and for each of the `discriminator_steps`. `average`
    is the weight of the past in the average of the generator's weights. `devices`, `strategy` and `precision` are as in
    `regard_lab.training.recipe.Training`.
    """

    batch_size: PositiveInt
    discriminator_steps: PositiveInt
    chunks: PositiveInt
    chunk_steps: PositiveInt
    snapshots: PositiveInt
    generator_rate: PositiveFloat
    discriminator_rate: PositiveFloat
    beta1: Share
    beta2: Share
    epsilon: PositiveFloat
    average: Share
    devices: PositiveInt = 1
    strategy: Strategy = "auto"
    precision: Precision = "32-true"


@dataclass
class TrainingAttention:
    """The attention that a generator is trained with: `softmax`, or `smyrf` with its rounds and queries per cluster."""

    name: AttentionName
    rounds: PositiveInt
    cluster_size: PositiveInt


@dataclass
class Evaluation:
    """`images` are generated in batches of `batch_size`, each with SMYRF directions of its own; a batch is timed `timings` times.

    `judge` scores them against the split `reference`: `classifier`, trained here for `classifier_epochs`, or
    `inception`, Inception-v3. `clamp` cuts the latents (0: not at all). `shown` are the classes of the pictures that a
    figure shows. `released`: swap the generator of `checkpoint`.
    """

    images: PositiveInt
    batch_size: PositiveInt
    timings: PositiveInt
    judge: Literal["classifier", "inception"]
    classifier_epochs: PositiveInt
    reference: str
    clamp: NonNegativeFloat
    shown: list[NonNegativeInt]
    released: bool


@dataclass
class Gan:
    """`trained`: what the generator was trained with, for tables that swap it. `checkpoint`: the file of a released generator."""

    network: Network
    training: GanTraining
    trained: TrainingAttention
    evaluation: Evaluation
    checkpoint: str | None


# -- models that are not trained here


@dataclass
class Analysis:
    """A trained model whose dense attention is analysed: tables lsh_ablation, singular_values, sparsity, cluster_membership.

    `model` is what the tables call it (`encoder`: a BERT-type encoder reading reviews; `vit`: a vision transformer;
    `gan`: the generator of the config's section `gan`), `checkpoint` a model of `regard_lab.models`, or a name or
    folder of Hugging Face, and null for the generator. An input has `tokens` tokens (of a picture: its patches and the
    class token; of a generator: the positions of its map that attends); each cell takes `examples` inputs of its own,
    chosen by its seed. `layers`: those measured, counted from 0; null for all.
    """

    model: Literal["encoder", "vit", "gan"]
    checkpoint: str | None
    tokens: Annotated[int, Field(ge=2)]
    examples: PositiveInt
    layers: Annotated[list[NonNegativeInt], Field(min_length=1)] | None


@dataclass
class Pretrained:
    """A pre-trained model (`checkpoint`: a name of `regard_lab.models`, or of the Hugging Face hub) and what it `reads`: table pretrained_swap.

    An encoder's features are sorted into `classes` by a linear probe, fitted on `train_examples`; a causal language
    model has 0 of both and predicts the next tokens. `examples` is what a seed reads; each has its own. The first
    `timed` of them are timed, with each attention in turns.
    """

    reads: Literal["texts", "pictures"]
    checkpoint: str
    tokens: Annotated[int, Field(ge=2)]
    examples: PositiveInt
    train_examples: NonNegativeInt
    classes: NonNegativeInt
    timed: PositiveInt


@dataclass
class Replacement:
    """What takes the place of the attention of `pretrained`, and its budget: table drop_in.

    `method`: a mechanism of `regard`; `smyrf_once`, SMYRF whose keys count once per query; `reformer` and `random`,
    SMYRF with these schemes; `even`, no scores at all, every key weighs the same; `softmax`, dense attention. `share`:
    the operations that a method may take, over those of dense attention; `even` and `softmax` have no choice, and a
    share of 1.
    """

    method: Method
    share: Annotated[float, Field(gt=0, le=1)]


@dataclass
class Speed:
    """One size at which attention is measured: tables speed and memory.

    `part`: `bert`, a whole BERT layer (attention, feed-forward part, norms), `encoder`, twelve of them one after the
    other, or `layer`, attention with its four projections alone. `backward`: with the backward pass. `grid`: the SMYRF
    settings, rounds and cluster size, that are timed in the same run as dense attention, in turns, each until its
    rounds have taken `enough_s` seconds together, and `rounds` times at most. `kernel`: `fused`, or `unfused`, dense
    attention that holds its score matrix. `batch_tokens`: a batch holds as many sequences as make up these tokens, and
    at least one.
    """

    part: Literal["bert", "layer", "encoder"]
    backward: bool
    width: PositiveInt
    heads: PositiveInt
    tokens: PositiveInt
    batch_tokens: PositiveInt
    grid: list[tuple[PositiveInt, PositiveInt]]
    rounds: PositiveInt
    enough_s: NonNegativeFloat
    kernel: Literal["fused", "unfused"]

    @property
    def batch(self) -> int:
        """Sequences per batch."""
        return max(1, self.batch_tokens // self.tokens)


@dataclass
class Config:
    """Everything that makes a cell what it is."""

    data: Data
    attention: Attention
    text: Text | None
    gan: Gan | None
    analysis: Analysis | None
    pretrained: Pretrained | None
    speed: Speed | None
    seed: int
    scale: str
    replacement: Replacement | None = None


def modules(config: Config) -> list[str]:
    """What a cell reaches by name: its mechanism, and pre-trained models that come in a package."""
    sections = (config.pretrained, config.analysis, config.text.encoder if config.text else None)
    checkpoints = {section.checkpoint for section in sections if section and section.checkpoint}
    packaged = sorted(checkpoints & set(models.names()))
    mechanisms: set[str] = {config.attention.name}
    if config.replacement is not None and config.replacement.method != "even":
        mechanisms.add("smyrf" if config.replacement.method in SMYRF else config.replacement.method)
    return [
        *(f"regard.mechanisms.{name}" for name in sorted(mechanisms)),
        *(f"regard_lab.models.{name}" for name in packaged),
    ]


PROJECT = Project(name="smyrf", schema=Config, check="projects.smyrf.checks:check", modules=modules)

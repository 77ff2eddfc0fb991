"""The typed config of a cell, and what the lab must know of this project. Imports no torch: see `regard_lab.experiment.project`.

The tables need different things, so a config has a section for each; those that a table does not use are null. Three
resolvers put into a config what a cell depends on beside code and data, so that a change of it changes the cell:

    ${cab_published:}                                 the published numbers
    ${cab_constants:quick,causal_self}                the frozen constants of our own index, at a scale; null where there are none yet
    ${cab_own:mine.py:Mine}                           the source file of a user's own mechanism; nothing for a registered one
"""

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from omegaconf import DictConfig, OmegaConf
from pydantic import Field, PositiveFloat, PositiveInt

from regard_lab.common.bounds import Share
from regard_lab.common.errors import UserError
from regard_lab.common.files import combined_sha256, sha256
from regard_lab.experiment.project import Project
from regard_lab.experiment.table_file import read_table
from regard_lab.training.recipe import Training

FOLDER = Path(__file__).parent
NONE = "none"  # in place of a mechanism's name: the layer is left out
Options = dict[
    str, dict[str, Any]
]  # mechanism -> options that it has in a task, where its defaults are not those of the task's length


@dataclass
class Data:
    """The source that data sets come from."""

    name: str
    source: Literal["package", "hub", "folder"]


@dataclass
class Attention:
    """The mechanism under test: a registered name, `none`, or a user's own `file.py:Class` or `module:Class`, with options of its own.

    `sha256` is that of a user's file, and empty for what this repository knows.
    """

    name: str
    sha256: str
    options: dict[str, Any] = field(default_factory=dict)


def options_of(attention: Attention, options: Options | None) -> dict[str, Any]:
    """The options that a mechanism is built with in a task: its own before those that the task has for it."""
    return {**(options or {}).get(attention.name, {}), **attention.options}


@dataclass
class Published:
    """What is recomputed from the published numbers, whose file has this checksum; each table uses some of the names."""

    sha256: str
    pattern: str | None
    attention: str | None
    task: str | None
    metric: str | None
    first: str | None
    second: str | None
    cost: str | None


@dataclass
class Lstf:
    """An encoder–decoder that forecasts long sequences. Lengths count steps; the decoder is given the last `label_length` known ones.

    `features` as in Informer: "M" forecasts all series of a set together, "S" the one named `target`, from itself.
    `centre`: "last" takes the last known value of each series off the window and adds it to the forecast (NLinear, Zeng
    et al. 2023), "none" does not, as Informer. `train_examples` and `held_out_examples` (of the validation and of the
    test split) are windows; null is all.
    """

    sets: list[str]
    features: Literal["M", "S"]
    target: str | None
    centre: Literal["none", "last"]
    options: Options
    length: PositiveInt
    label_length: PositiveInt
    horizon: PositiveInt
    width: PositiveInt
    heads: PositiveInt
    feed_forward: PositiveInt
    encoder_layers: PositiveInt
    decoder_layers: PositiveInt
    dropout: Share
    train_examples: PositiveInt | None
    held_out_examples: PositiveInt | None
    training: Training


Odd = Literal[1, 3, 5, 7, 9]  # so that a convolution has a middle
Positions = Literal["absolute", "relative", "both"]


@dataclass
class Lm:
    """A decoder of subwords, trained on `context` of them, a multiple of eight. Examples are windows of the context; null is all.

    `positions` of every mechanism: "absolute" are sines added to the embeddings; "relative" are queries and keys turned
    by their places (rotary), a mechanism's own relative positions where it has them, and nothing at the input; "both"
    are both.
    """

    sets: list[str]
    vocabulary: Annotated[int, Field(ge=259)]  # 256 bytes and three special subwords
    context: Annotated[int, Field(ge=8, multiple_of=8)]
    positions: Positions
    options: Options
    width: PositiveInt
    heads: PositiveInt
    feed_forward: PositiveInt
    layers: PositiveInt
    dropout: Share
    train_examples: PositiveInt | None
    held_out_examples: PositiveInt | None
    training: Training


@dataclass
class Mlm:
    """An encoder that tells which subwords stood where a window of `length` shows others; `masked` is the share that it is asked for.

    Examples are windows; null is all.
    """

    sets: list[str]
    vocabulary: Annotated[int, Field(ge=259)]  # 256 bytes and three special subwords
    length: PositiveInt
    masked: Annotated[float, Field(gt=0, lt=1)]
    options: Options
    width: PositiveInt
    heads: PositiveInt
    feed_forward: PositiveInt
    layers: PositiveInt
    dropout: Share
    train_examples: PositiveInt | None
    held_out_examples: PositiveInt | None
    training: Training


@dataclass
class Translation:
    """An encoder–decoder from English to Spanish; lengths and vocabulary count words. Examples are sentences; null is all."""

    set: str
    vocabulary: Annotated[int, Field(ge=5)]  # padding, unknown, beginning, end, and one word
    length: Annotated[int, Field(ge=3)]  # beginning, one word, end
    width: PositiveInt
    heads: PositiveInt
    feed_forward: PositiveInt
    encoder_layers: PositiveInt
    decoder_layers: PositiveInt
    dropout: Share
    train_examples: PositiveInt | None
    held_out_examples: PositiveInt | None
    training: Training


@dataclass
class Efficiency:
    """One layer of each mechanism at growing lengths; `repeats` is how often each call is timed."""

    lengths: list[PositiveInt]
    batch: PositiveInt
    width: PositiveInt
    heads: PositiveInt
    repeats: PositiveInt


@dataclass
class Certification:
    """Which properties certification asks for: all, or all but compilation, which takes nine tenths of the time."""

    compiled: bool


@dataclass
class Sr:
    """A diffusion model that makes pictures of `high` × `high` pixels out of `low` × `low` ones.

    Its UNet has `width` channels times each of `multipliers`, half the resolution after each but the last, `blocks`
    residual blocks at each, and attention at the resolutions `attention_at`, in the middle always. `steps` of noise are
    from `first_noise` to `last_noise` in equal steps. Examples are pictures; null is all.
    """

    set: str
    low: PositiveInt
    high: PositiveInt
    width: PositiveInt
    multipliers: list[PositiveInt]
    blocks: PositiveInt
    groups: PositiveInt
    attention_at: list[PositiveInt]
    heads: PositiveInt
    dropout: Share
    steps: PositiveInt
    first_noise: Annotated[float, Field(gt=0, lt=1)]
    last_noise: Annotated[float, Field(gt=0, lt=1)]
    options: Options
    train_examples: PositiveInt | None
    held_out_examples: PositiveInt | None
    training: Training


@dataclass
class Summary:
    """An encoder–decoder that writes summaries; lengths and vocabulary count subwords, `target_length` with both ends.

    `beams` is the width of beam search, `label_smoothing` that of training. Examples are articles; null is all.
    """

    set: str
    vocabulary: Annotated[int, Field(ge=259, le=32767)]  # 256 bytes and three special subwords
    source_length: PositiveInt
    target_length: Annotated[int, Field(ge=3)]  # beginning, one subword, end
    label_smoothing: Share
    beams: PositiveInt
    options: Options
    width: PositiveInt
    heads: PositiveInt
    feed_forward: PositiveInt
    encoder_layers: PositiveInt
    decoder_layers: PositiveInt
    dropout: Share
    train_examples: PositiveInt | None
    held_out_examples: PositiveInt | None
    training: Training


@dataclass
class Pcc:
    """A model that completes point clouds: a view of `points` is to become an object of `whole_points`.

    `proxies` are the places of the view that attention reads, `queries` those that it makes, each of which is folded
    into `fold` × `fold` points; `neighbours` are the nearest points that a place knows. Examples are views; null is
    all.
    """

    set: str
    points: PositiveInt
    whole_points: PositiveInt
    proxies: PositiveInt
    queries: PositiveInt
    fold: PositiveInt
    neighbours: PositiveInt
    options: Options
    width: PositiveInt
    heads: PositiveInt
    feed_forward: PositiveInt
    encoder_layers: PositiveInt
    decoder_layers: PositiveInt
    train_examples: PositiveInt | None
    held_out_examples: PositiveInt | None
    training: Training


@dataclass
class FastSpeech2:
    """Sizes of FastSpeech 2. `kernel` frames or symbols are seen by each convolution of a block, `predictor_kernel` by those of a predictor.

    `bins` is into how many steps pitch and energy are cut.
    """

    width: PositiveInt
    heads: PositiveInt
    feed_forward: PositiveInt
    kernel: Odd
    encoder_layers: PositiveInt
    decoder_layers: PositiveInt
    predictor_width: PositiveInt
    predictor_kernel: Odd
    bins: Annotated[int, Field(ge=2)]


@dataclass
class TransformerTts:
    """Sizes of Transformer-TTS, which makes `frames_per_step` frames at a time.

    `kernel` is that of the convolutions before the encoder and after the decoder; `prenet` and `postnet` are widths;
    `stop_weight` is that of the one step that is the last, in the loss of the stop token. `epochs` are in place of the
    training's.
    """

    width: PositiveInt
    heads: PositiveInt
    feed_forward: PositiveInt
    encoder_layers: PositiveInt
    decoder_layers: PositiveInt
    convolutions: PositiveInt
    kernel: Odd
    prenet: PositiveInt
    prenet_dropout: Share
    postnet: PositiveInt
    postnet_layers: Annotated[int, Field(ge=2)]
    frames_per_step: PositiveInt
    stop_weight: PositiveFloat
    epochs: PositiveInt


@dataclass
class Speech:
    """Models that speak a text, `backbones` of them that have the pattern: log-mels are made of characters, and sound by Griffin-Lim.

    `window` and `hop` are samples at `rate` Hz; `mels` channels lie between `lowest` and `highest` Hz. Prompts are
    joined until an utterance has `least_frames`, which never makes it longer than `most_frames`, and training prompts
    so `joinings` times, in other orders; prompts of more frames, or of more than `most_symbols`, are left out.
    Durations are found in `alignment_iterations` rounds. `vocoder_iterations` are those of Griffin-Lim. Examples are
    prompts; null is all.
    """

    set: str
    backbones: list[Literal["fastspeech2", "transformer_tts"]]
    rate: PositiveInt
    window: PositiveInt
    hop: PositiveInt
    mels: PositiveInt
    lowest: PositiveInt
    highest: PositiveInt
    least_frames: PositiveInt
    most_frames: PositiveInt
    most_symbols: PositiveInt
    joinings: PositiveInt
    alignment_iterations: PositiveInt
    vocoder_iterations: PositiveInt
    fastspeech2: FastSpeech2
    transformer_tts: TransformerTts
    dropout: Share
    options: Options
    train_examples: PositiveInt | None
    held_out_examples: PositiveInt | None
    training: Training

    def backbones_of(self, pattern: str) -> list[str]:
        """The backbones that have a pattern: FastSpeech 2 has noncausal self attention alone, Transformer-TTS no noncausal cross attention."""
        patterns = {
            "fastspeech2": ("noncausal_self",),
            "transformer_tts": ("noncausal_self", "causal_self", "causal_cross"),
        }
        return [name for name in self.backbones if pattern in patterns[name]]

    def training_of(self, backbone: str) -> Training:
        """The recipe of a backbone."""
        own = self.transformer_tts.epochs if backbone == "transformer_tts" else self.training.epochs
        return replace(self.training, epochs=own)


@dataclass
class Config:
    """Everything that makes a cell what it is."""

    data: Data
    pattern: Literal["noncausal_self", "causal_self", "noncausal_cross", "causal_cross"]
    attention: Attention
    published: Published | None
    lstf: Lstf | None
    lm: Lm | None
    translation: Translation | None
    efficiency: Efficiency | None
    certification: Certification | None
    constants: dict[str, dict[str, dict[str, float]]] | None
    seed: int
    scale: str
    mlm: Mlm | None = None
    sr: Sr | None = None
    summary: Summary | None = None
    pcc: Pcc | None = None
    speech: Speech | None = None


def modules(config: Config) -> list[str]:
    """What a cell reaches by name: its mechanism, and softmax attention for the layers that are not under test."""
    return modules_of(config.attention.name)


def modules_of(attention: str) -> list[str]:
    """The modules behind a mechanism's name. A user's own is outside the repository; its checksum is in the config."""
    known = attention != NONE and ":" not in attention
    return ["regard.mechanisms.softmax", *([f"regard.mechanisms.{attention}"] if known else [])]


def frozen_constants(scale: str, pattern: str) -> DictConfig | None:
    """The constants of our index in `constants.yaml`: table -> metric -> mean and standard deviation; `None` where nothing is frozen."""
    path = FOLDER / "constants.yaml"
    frozen = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    tables = ((frozen or {}).get(scale) or {}).get(pattern) or {}
    constants = {table: each["metrics"] for table, each in tables.items() if each["metrics"]}
    return OmegaConf.create(constants) if constants else None


def own_checksum(target: str) -> str:
    """The SHA-256 of the file behind `file.py:Class` or `module:Class`; empty for a registered mechanism.

    Of a class of a notebook, `__main__:Class`, that of the text of its own methods.

    Raises:
        UserError: There is no such file or module, or the notebook's class has no text.
    """
    module, colon, name = target.rpartition(":")
    if not colon:
        return ""
    if module == "__main__":
        import inspect
        import sys

        methods = filter(inspect.isfunction, vars(getattr(sys.modules[module], name, object)).values())
        try:  # a notebook's class has no file, and so no text of its own; its methods have
            return combined_sha256([inspect.getsource(method) for method in methods])
        except OSError:
            raise UserError(
                f"{name} has no text that could be read: write it to a file (%%writefile my_file.py) and score my_file.py:{name}"
            ) from None
    if module.endswith(".py"):
        path = Path(module)
    else:
        import importlib.util

        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            spec = None
        path = Path(spec.origin) if spec is not None and spec.origin else Path(module)
    if not path.is_file():
        raise UserError(f"there is no module {module!r}; for a file write path/to/file.py:Class")
    return sha256(path)


def published_checksum() -> str:
    """The SHA-256 of every published number that `analyses/published.py` reads, with the names of its table, row and column."""
    files = sorted(path for kind in ("raw", "published") for path in (FOLDER / "tables").glob(f"{kind}_*.yaml"))
    return _checksum(tuple((path, path.stat().st_mtime_ns, path.stat().st_size) for path in files))


@functools.lru_cache(maxsize=1)
def _checksum(files: tuple[tuple[Path, int, int], ...]) -> str:
    tables = [read_table(FOLDER, path.stem) for path, _, _ in files]
    return combined_sha256(
        f"{table.name} {sorted(row.key.items())} {sorted(row.values.items())}"
        for table in tables
        for row in table.published
    )


PROJECT = Project(
    name="cab",
    schema=Config,
    check="projects.cab.checks:check",
    modules=modules,
    resolvers={"cab_published": published_checksum, "cab_constants": frozen_constants, "cab_own": own_checksum},
)

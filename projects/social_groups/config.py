"""The typed config of a cell, and what the lab must know of this project. Imports no torch: see `regard_lab.experiment.project`."""

from dataclasses import dataclass
from typing import Literal

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt

from regard_lab.common.bounds import Share
from regard_lab.experiment.project import Project
from regard_lab.training.recipe import Training

QueryDesign = Literal["single", "independent", "location_only", "layout_only", "sum", "split", "mlp"]
AttentionDesign = Literal[
    "none", "full", "intra", "inter", "inter_intra", "intra_inter", "parallel", "group_means", "full_twice"
]


Probe = Literal[
    "none",
    "distance",
    "person",
    "count",
    "position",
    "looks",
    "floor",
    "rules",
    "ceiling",
    "given_members",
    "given_persons",
]
PointOrder = Literal["x", "y", "random"]


@dataclass
class Detector:
    """The errors of the detector whose persons are painted; all 0: the true persons are.

    `moved` and `stretched` are standard deviations in proportion to a box's own size, `missed` the share of persons
    without a box, `false_boxes` how many boxes per scene are nobody's, `misread` the share of persons whose action is
    read as another.
    """

    moved: NonNegativeFloat = 0.0
    stretched: NonNegativeFloat = 0.0
    missed: Share = 0.0
    false_boxes: NonNegativeInt = 0
    misread: Share = 0.0

    @property
    def errs(self) -> bool:
        """Whether it makes any error."""
        return any((self.moved, self.stretched, self.missed, self.false_boxes, self.misread))


@dataclass
class Camera:
    """How far the camera of a training scene may have been elsewhere; all 0: scenes are shown as they are.

    `zoom` is the largest logarithm of a magnification, in or out, `pan` the largest shift as a fraction of the frame;
    both are drawn anew in each epoch, and nobody leaves the frame.
    """

    zoom: NonNegativeFloat
    pan: Share

    @property
    def moves(self) -> bool:
        """Whether any scene is shown otherwise than it is."""
        return bool(self.zoom or self.pan)


@dataclass
class Data:
    """The scenes and how they become maps.

    `members` is the most members of a group, `grid` the rows and columns of the finest map, `noise` the standard
    deviation of each pixel. `order` is that in which a group's members are its slots' targets, `mirror` whether half of
    the training scenes are shown in a mirror.
    """

    name: str
    source: str
    activities: PositiveInt
    actions: PositiveInt
    members: PositiveInt
    grid: tuple[PositiveInt, PositiveInt]
    channels: PositiveInt
    noise: NonNegativeFloat
    order: PointOrder
    mirror: bool
    detector: Detector
    camera: Camera


@dataclass
class Model:
    """The transformer. `queries` and `self_attention` are the designs under test, `mechanism` the attention of Regard that they are made of.

    `pool` says which slots a group's activity is read from: all, or those that exist by the predicted size.
    """

    queries: QueryDesign
    self_attention: AttentionDesign
    mechanism: str
    pool: Literal["all", "existing"]
    groups: PositiveInt
    person_queries: PositiveInt
    width: PositiveInt
    heads: PositiveInt
    levels: PositiveInt
    points: PositiveInt
    encoder_layers: NonNegativeInt
    decoder_layers: PositiveInt
    feed_forward: PositiveInt
    dropout: Share


@dataclass
class Weights:
    """Weights of the terms of the matching cost (`cost_…`) and of the loss. A term of weight 0 is not learnt."""

    cost_activity: NonNegativeFloat
    cost_size: NonNegativeFloat
    cost_points: NonNegativeFloat
    activity: NonNegativeFloat
    size: NonNegativeFloat
    points: NonNegativeFloat
    person_class: NonNegativeFloat
    person_box: NonNegativeFloat
    person_overlap: NonNegativeFloat
    person_action: NonNegativeFloat
    activity_softmax: NonNegativeFloat
    slot_action: NonNegativeFloat


@dataclass
class Budget:
    """What a scale spends beside epochs: scenes for training and for each other split (null: all), and how steps are timed.

    Of a generated set, `fresh_epochs` epochs have scenes of their own before scenes recur; 1: every epoch has the
    prepared ones. A time is the least of `repeats` calls with `timing_batch` scenes.
    """

    train_scenes: PositiveInt | None
    test_scenes: PositiveInt | None
    fresh_epochs: PositiveInt
    repeats: PositiveInt
    timing_batch: PositiveInt


@dataclass
class Config:
    """Everything that makes a cell what it is. `probe` is what a row of the tables of shortcuts and of the ladder asks."""

    data: Data
    model: Model
    weights: Weights
    training: Training
    budget: Budget
    probe: Probe
    seed: int
    scale: str


def check(config: Config) -> None:
    """Refuse a config whose parts do not go together, before any work.

    Raises:
        ValueError: Sizes that do not fit each other, with the numbers; or what the mechanism refuses.
        TypeError: An option that the mechanism does not take.
    """
    model, grid = config.model, config.data.grid
    if model.width % 4 or model.width % model.heads:
        raise ValueError(f"4 and heads must divide the width, got width = {model.width} and heads = {model.heads}")
    if min(grid) < 2 ** (model.levels - 1):
        raise ValueError(f"data.grid must be rows and columns that can be halved {model.levels - 1} times, got {grid}")

    import torch

    from projects.social_groups.data.splits import traits_of
    from projects.social_groups.models.network import SocialGroups

    if config.data.detector.misread and not all(name.startswith("action_") for name in traits_of(config.data.name)):
        raise ValueError(
            f"data.detector.misread needs traits that are actions, one of them per person; {config.data.name} has others, got misread ="
            f" {config.data.detector.misread:g}"
        )

    with torch.device("meta"):  # builds every layer, so that the library's own checks speak, and allocates nothing
        SocialGroups(config.data, model)


def modules(config: Config) -> list[str]:
    """The one module that a cell reaches by name: its mechanism."""
    return [f"regard.mechanisms.{config.model.mechanism}"]


PROJECT = Project(name="social_groups", schema=Config, check="projects.social_groups.config:check", modules=modules)

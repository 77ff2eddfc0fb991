"""What can be known to be wrong with a config before any work."""

from projects.cab.config import NONE, Config, Fitting
from regard.common.patterns import ALL_PATTERNS
from regard.loading import find_class
from regard.registry import UnsupportedPattern


def check(config: Config) -> None:
    """Raises ValueError or TypeError, with the numbers in it, for a config that cannot run."""
    if config.pattern not in ALL_PATTERNS:
        raise ValueError(f"pattern must be one of {', '.join(ALL_PATTERNS)}, got {config.pattern!r}")
    for name, section in (("lstf", config.lstf), ("lm", config.lm), ("translation", config.translation)):
        if section is not None:
            check_model(name, section)
            check_fitting(name, section.fitting)
    if config.lstf is not None and config.lstf.label_length > config.lstf.length:
        raise ValueError(
            f"lstf.label_length is a part of lstf.length, got {config.lstf.label_length} and {config.lstf.length}"
        )
    if config.lm is not None and (config.lm.context < 4 or config.lm.context % 4):
        raise ValueError(f"lm.context must be a multiple of 4, got {config.lm.context}")
    if config.efficiency is not None and len(set(config.efficiency.lengths)) < 3:
        raise ValueError(f"a parabola needs three lengths, got efficiency.lengths={config.efficiency.lengths}")
    if config.attention.name != NONE:
        cls = find_class(config.attention.name)
        if is_task(config) and config.pattern not in cls.patterns:
            known = f"it has {', '.join(cls.patterns)}"
            raise UnsupportedPattern(f"{config.attention.name!r} does not have the pattern {config.pattern!r}; {known}")


def check_model(name: str, section: object) -> None:
    """Every size is at least 1, heads divide the width, and dropout is a probability."""
    for key, value in vars(section).items():
        if isinstance(value, int) and value < 1:
            raise ValueError(f"{name}.{key} must be at least 1, got {value}")
    width, heads, dropout = (getattr(section, key) for key in ("width", "heads", "dropout"))
    if width % heads:
        raise ValueError(f"{name}.heads must divide {name}.width, got {heads} and {width}")
    if width % 2:
        raise ValueError(f"sines and cosines of positions need an even width, got {name}.width={width}")
    if not 0 <= dropout < 1:
        raise ValueError(f"{name}.dropout must be at least 0 and below 1, got {dropout}")


def check_fitting(name: str, fitting: Fitting) -> None:
    """Positive budgets and rates."""
    for key in ("batch_size", "epochs", "train_examples", "held_out_examples"):
        value = getattr(fitting, key)
        if value is not None and value < 1:
            raise ValueError(f"{name}.fitting.{key} must be at least 1, got {value}")
    if fitting.learning_rate <= 0 or fitting.weight_decay < 0:
        rates = f"{fitting.learning_rate} and {fitting.weight_decay}"
        raise ValueError(f"learning_rate must be positive and weight_decay not negative, got {rates}")


def is_task(config: Config) -> bool:
    """Does a cell of this config train a model?"""
    return any(section is not None for section in (config.lstf, config.lm, config.translation))

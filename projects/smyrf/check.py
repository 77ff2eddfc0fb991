"""What can be known to be wrong with a config before any work."""

from projects.smyrf.analysis import config as analysis
from projects.smyrf.config import Config
from projects.smyrf.gan import config as gan
from projects.smyrf.pretrained import config as pretrained
from projects.smyrf.speed import config as speed
from projects.smyrf.text import config as text
from regard.registry import mechanism_class


def check(config: Config) -> None:
    """Raises ValueError, with the numbers in it, for a config that cannot run."""
    mechanism_class(config.attention.name)
    if config.attention.name not in ("softmax", "smyrf"):
        raise ValueError(f"this project compares softmax and smyrf, got attention.name={config.attention.name}")
    for name in ("rounds", "cluster_size"):
        if (value := getattr(config.attention, name)) < 1:
            raise ValueError(f"attention.{name} must be at least 1, got {value}")
    if config.text is not None:
        text.check(config.text, config)
    if config.analysis is not None:
        analysis.check(config.analysis, config)
    if config.pretrained is not None:
        pretrained.check(config.pretrained, config)
    if config.speed is not None:
        speed.check(config.speed, config)
    if config.gan is not None:
        gan.check(config.gan, config)

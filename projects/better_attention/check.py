"""What can be known to be wrong with a config before any work: each kind of cell has its own check."""

from projects.better_attention import inference, lm, model, translation
from projects.better_attention.project import Config


def check(config: Config) -> None:
    """Raises ValueError or TypeError, with the numbers in it, for a config that cannot run."""
    if config.translation is not None:
        translation.check(config)
    elif config.lm is not None:
        lm.check(config)
    elif config.inference is not None:
        inference.check(config)
    else:
        model.check(config)

"""What can be known to be wrong with a config before any work: each kind of cell has its own check."""

from projects.better_attention.config import Config


def check(config: Config) -> None:
    """Raises ValueError or TypeError, with the numbers in it, for a config that cannot run."""
    # Each is imported where it is needed: translation and the language model bring Lightning, which takes seconds.
    if config.translation is not None:
        from projects.better_attention import translation

        translation.check(config)
    elif config.lm is not None:
        from projects.better_attention import lm

        lm.check(config)
    elif config.inference is not None:
        from projects.better_attention import inference

        inference.check(config)
    else:
        from projects.better_attention import model

        model.check(config)

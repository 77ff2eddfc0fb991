"""The config that a command line composes, as tests of a project ask for it."""

from collections.abc import Callable
from typing import Any

from regard_lab.experiment.composition import compose
from regard_lab.experiment.config import typed
from regard_lab.experiment.project import Project
from tests.paths import ROOT


def configs_of(project: Project, *, default: str) -> Callable[..., Any]:
    """`config_of("model.attention=super", "scale=paper")`: of the experiment or table `default` where the words choose none."""

    def config_of(*overrides: str) -> Any:
        chosen = any(word.startswith(("experiment=", "table=")) for word in overrides)
        words = list(overrides) if chosen else [default, *overrides]
        return typed(project.schema, compose(project, ROOT, words).config)

    return config_of

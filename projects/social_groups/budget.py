"""What the tables of this project multiply and hold: trainings and evaluations of its network (see `regard_lab.hours`)."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from projects.social_groups.config import Config
from regard_lab.hours import Count, Work, cached, count, examples

TIMED = {
    "cost": "its layers are timed for seconds",
    "shortcuts": "its rules and floors are computed from annotations, without any model",
}


def works(table: str, cells: Sequence[Config]) -> list[Work]:
    """Of each cell a training, its validation after every epoch and for the threshold, and its test; mechanisms count as softmax attention."""
    if table in TIMED:
        return []
    done = []
    for config in cells:
        training, budget, data = config.training, config.budget, config.data
        plain = replace(config, model=replace(config.model, mechanism="softmax", pool="all", dropout=0.0))
        key = (
            "social_groups",
            data.grid,
            data.channels,
            data.activities,
            data.actions,
            data.members,
            repr(plain.model),
        )
        counted: Count = cached(key, partial(counts, plain))
        train, validation, test = (
            examples(data.source, data.name, split, most)
            for split, most in (("train", budget.train_scenes), ("validation", None), ("test", budget.test_scenes))
        )
        memory = counted.step_memory(training.batch_size)
        done += [
            Work("scenes, forward and backward", training.epochs * train, counted.forward + counted.backward, memory),
            Work("scenes, forward", (training.epochs + 1) * validation + test, counted.forward),
        ]
    return done


def why_not(table: str) -> str | None:
    """Why nothing is counted for a table, in a sentence's end; `None` where works are."""
    return TIMED.get(table)


def counts(config: Config) -> Count:
    """The network on the maps of one scene."""
    from projects.social_groups.models.network import SocialGroups

    data = config.data
    return count(lambda: SocialGroups(data, config.model), ((1, data.channels, *data.grid), "float32"))

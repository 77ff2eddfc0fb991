"""What the tables of this project multiply and hold: trainings and evaluations of its network (see `regard_lab.hours`)."""

from collections.abc import Sequence
from dataclasses import fields, replace
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
    """The network on the maps of one scene: all layers of a kind are the same, so a network of few layers is counted and the others are added."""
    model = config.model
    e, d = min(model.encoder_layers, 1), 1
    first = of_layers(config, e, d)
    if model.encoder_layers > 1:  # the encoder knows no design: one count serves all of them
        plain = replace(config, model=replace(model, queries="single", self_attention="none"))
        key = ("encoder layer", config.data.grid, config.data.channels, config.data.members, repr(plain.model))
        layer = cached(key, lambda: minus(of_layers(plain, 2, 1), of_layers(plain, 1, 1)))
        first = plus(first, layer, model.encoder_layers - 1)
    if model.decoder_layers > 1:
        first = plus(first, minus(of_layers(config, e, 2), of_layers(config, e, 1)), model.decoder_layers - 1)
    return first


def of_layers(config: Config, encoder_layers: int, decoder_layers: int) -> Count:
    """The network with so many layers."""
    from projects.social_groups.models.network import SocialGroups

    data, model = config.data, replace(config.model, encoder_layers=encoder_layers, decoder_layers=decoder_layers)
    key = ("social_groups", data.grid, data.channels, data.activities, data.actions, data.members, repr(model))
    counted: Count = cached(
        key, lambda: count(lambda: SocialGroups(data, model), ((1, data.channels, *data.grid), "float32"))
    )
    return counted


def minus(a: Count, b: Count) -> Count:
    """What one count has beyond another."""
    return plus(a, b, -1)


def plus(a: Count, b: Count, times: int) -> Count:
    """A count with another one so many times."""
    return Count(*(getattr(a, one.name) + times * getattr(b, one.name) for one in fields(Count)))

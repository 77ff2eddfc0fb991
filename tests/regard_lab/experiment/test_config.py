"""Configs are typed at the door: a wrong type, an unknown key or a missing one is one sentence."""

import pytest

from projects.better_attention.config import PROJECT, Config
from regard_lab.common.errors import UserError
from regard_lab.experiment.composition import compose
from regard_lab.experiment.config import typed
from tests.paths import ROOT


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "x"}, "seed must be a valid integer, got 'x'"),
        ({"nonsense": 1}, "nonsense"),
        ({"model": {"width": 1.5}}, r"model\.width"),
    ],
)
def test_the_typed_door_names_the_key(change, message):
    values = compose(PROJECT, ROOT, ["experiment=imdb"]).config
    assert typed(Config, values).model.width == 32
    nested = {**values["model"], **change["model"]} if "model" in change else values["model"]
    with pytest.raises(UserError, match=message):
        typed(Config, values | change | {"model": nested})


def test_a_missing_key_is_an_error():
    values = compose(PROJECT, ROOT, ["experiment=imdb"]).config
    del values["training"]["batch_size"]
    with pytest.raises(UserError, match=r"training\.batch_size"):
        typed(Config, values)

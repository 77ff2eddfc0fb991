"""Configs: every slip of a user is one sentence with the nearest right word, and the blocks that only feed others stay out of a cell."""

from dataclasses import replace
from pathlib import Path

import pytest
import toy

from projects.better_attention.project import PROJECT, Config
from regard_lab.config import as_overrides, check_scale, compose, compose_rows, typed
from regard_lab.errors import UserError


@pytest.fixture
def conf(tmp_path, monkeypatch):
    return toy.write_toy(tmp_path, monkeypatch) / "projects" / "toy" / "conf"


def test_the_scale_and_the_table_feed_the_config_and_stay_out_of_it(conf):
    composed = compose(conf, ["table=lines", "scale=laptop"])
    assert composed.config == {
        "data": {"name": "points", "source": "package"},
        "seed": 0,
        "slope": 2.0,
        "fail": False,
        "epochs": 3,
        "scale": "laptop",
    }
    assert composed.spec.seeds == 4
    assert composed.spec.rows == [{"slope": 1.0}, {"slope": 3.0}]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("slop=1", r"unknown config key 'slop'.*Did you mean"),
        ("data.nam=x", r"unknown config key 'data.nam'.*Did you mean 'data.name'"),
        ("scale=huge", r"there is no scale 'huge'. There are: laptop, quick"),
        ("data=point", r"there is no data 'point'. Did you mean 'points'"),
        ("table=line", r"there is no table 'line'. Did you mean 'lines'"),
        ("slope", r"slope"),
    ],
)
def test_a_wrong_override_is_one_sentence(conf, override, message):
    with pytest.raises(UserError, match=message) as caught:
        compose(conf, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": "x"}, "seed.*'x'.*Integer"),
        ({"nonsense": 1}, "nonsense"),
        ({"model": {"width": 1.5}}, r"model\.width"),
    ],
)
def test_the_typed_door_names_the_key(change, message, request):
    values = compose(PROJECT.conf(request.config.rootpath), []).config
    assert typed(Config, values).model.width == 32
    nested = {**values["model"], **change["model"]} if "model" in change else values["model"]
    with pytest.raises(UserError, match=message):
        typed(Config, values | change | {"model": nested})


def test_a_missing_key_is_an_error(request):
    values = compose(PROJECT.conf(request.config.rootpath), []).config
    del values["training"]["batch_size"]
    with pytest.raises(UserError, match=r"training\.batch_size"):
        typed(Config, values)


def test_scales_and_rows():
    assert check_scale("laptop") == "laptop"
    with pytest.raises(UserError, match="Did you mean 'laptop'"):
        check_scale("labtop")
    assert as_overrides({"a": 1}, {"a": "model.a"}) == ["model.a=1"]
    with pytest.raises(UserError, match="does not vary: b"):
        as_overrides({"a": 1, "b": 2}, {"a": "model.a"})


ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("scale", ["quick", "paper"])
@pytest.mark.parametrize(("paper", "table"), [("better_attention", "inference"), ("explaining", "faithfulness")])
def test_rows_composed_together_are_those_that_hydra_composes(paper: str, table: str, scale: str) -> None:
    """The second table chooses files (`data=…`) and sets values; the first only sets values."""
    conf, base = ROOT / "projects" / paper / "conf", [f"table={table}", f"scale={scale}"]
    spec = compose(conf, base).table
    rows = [as_overrides(key, spec.vary) for key in spec.rows[::5]]
    assert compose_rows(conf, base, rows) == [replace(compose(conf, base + row), table=None) for row in rows]


def test_a_row_that_sets_what_is_not_there_is_told_so() -> None:
    with pytest.raises(UserError, match=r"unknown config key 'model\.atention'.*Did you mean 'model\.attention'"):
        compose_rows(ROOT / "projects/better_attention/conf", ["table=imdb"], [["model.atention=super"]])

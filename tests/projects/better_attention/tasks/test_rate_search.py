"""The rate with the least validation loss is used, whatever the test split says; a search is made once for all seeds and counted."""

from dataclasses import replace

import pytest

from projects.better_attention.config import PROJECT, Config, Search
from projects.better_attention.tasks import rate_search
from projects.better_attention.tasks.rate_search import least, save, with_chosen_rate
from regard_lab.experiment.items import ItemisedResult
from tests.configs import configs_of

config_of = configs_of(PROJECT, default="table=lm")
NAN = float("nan")


def made(config: Config, folder) -> None:
    """Better on validation at 0.2, better on test at 0.4; two epochs of three seconds."""
    assert config.training is not None
    rate = config.training.learning_rate
    assert config.search is None
    curve = [1.0, 0.5 + abs(rate - 0.2)]
    save(
        folder,
        ItemisedResult(
            {"test_loss": -rate, "seconds_per_epoch": 3.0}, {"validation_loss": curve}, {}, {"test_loss": [-rate]}
        ),
    )


@pytest.fixture
def runs(monkeypatch, tmp_path):
    """In place of artefacts on disk, one folder per config; the list of what was made."""
    trained = []

    def artefact(make, config, data_sets, *, source, root, modules):
        place = (config.training.learning_rate, config.seed)
        folder = tmp_path / "-".join(map(str, place))
        if place not in trained:
            trained.append(place)
            folder.mkdir()
            make(config, folder)
        return folder

    monkeypatch.setattr(rate_search, "artefact", artefact)
    return trained


def test_validation_chooses_and_the_search_is_counted(runs):
    search = Search([0.1, 0.2, 0.4])
    config = replace(config_of(), search=search)
    for seed in (0, 1):
        result = with_chosen_rate(replace(config, seed=seed), search, made)
        assert result.metrics == {
            "test_loss": -0.2,
            "seconds_per_epoch": 3.0,
            "learning_rate": 0.2,
            "search_seconds": 18.0,
        }
        assert result.items == {"test_loss": [-0.2]}
    assert runs == [(0.1, 0), (0.2, 0), (0.4, 0), (0.2, 1)]


def test_the_least_of_curves():
    assert least([[3.0, 2.0, 2.5], [4.0, 1.0], [1.0, 1.0]]) == 1  # the first of equals
    assert least([[NAN, NAN], [5.0, NAN]]) == 1


def test_tables_with_a_search_give_every_mechanism_the_same_rates():
    for table in ("lm", "translation", "translation_anki"):
        config = config_of(f"table={table}", "model.attention=super", "scale=laptop")
        assert config.search is not None
        low, middle, high = config.search.learning_rates
        assert (2 * low, middle, high / 2) == (middle, config.training.learning_rate, middle)
        assert config_of(f"table={table}", "model.attention=softmax", "scale=laptop").search == config.search

"""The configs of the project: each composes at each scale and passes its check; what cannot run is refused with the numbers."""

from pathlib import Path

import pytest

from projects.explaining.check import check
from projects.explaining.config import PROJECT, Config
from regard_lab.experiment.config import typed
from regard_lab.experiment.tables import load_table
from tests.configs import configs_of

ROOT = Path(__file__).resolve().parents[3]


config_of = configs_of(PROJECT, default="experiment=encoder_imdb")


@pytest.mark.parametrize("scale", ["quick", "laptop", "paper"])
@pytest.mark.parametrize("table", PROJECT.tables(ROOT))
def test_every_row_composes_and_passes_its_check(table, scale):
    loaded = load_table("explaining", table, scale, ROOT)
    kinds = {(cell.key.get("data"), cell.key.get("model")): cell for cell in loaded.cells}
    for cell in kinds.values():
        config = typed(Config, cell.config)
        check(config)
        assert config.data.kind == "made" or config.data.name in loaded.spec.data_sets


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("analysis.attention=E7", "analysis.attention must be one of raw, E1, .*got 'E7'"),
        ("experiment=bert_imdb data.kind=made data.name=majority", "no words that a pre-trained model knows"),
        ("data.kept=[1]", r"data.kept must name data.classes = 2 labels, two at least, got \[1\]"),
        ("analysis.length=200", "analysis.length must be 2 to data.length = 96, got 200"),
        ("analysis.texts=101", "analysis.texts = 101 of training.test_texts = 100"),
        ("model.value_width=0", "model.value_width must be at least 1, got 0"),
        ("data.length=600", "data.length must be 4 to 512 tokens, got 600"),
        ("training.learning_rate=0", "learning_rate positive, got 0.1 and 0"),
    ],
)
def test_a_config_that_cannot_run_is_refused(override, message):
    with pytest.raises(ValueError, match=message):
        check(config_of(*override.split()))

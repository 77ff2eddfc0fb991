"""The configs of the project: each composes at each scale and passes its check; what cannot run is refused with the numbers."""

from typing import get_args, get_type_hints

import pytest

from projects.explaining.analyses.replacements import NAMES
from projects.explaining.config import PROJECT, SYNTHETIC, Analysis, Config, check
from projects.explaining.data import SYNTHETIC_TASKS, SYNTHETIC_WORDS
from regard_lab.common.errors import UserError
from regard_lab.experiment.config import typed
from regard_lab.experiment.tables import load_table
from tests.configs import configs_of
from tests.paths import ROOT

config_of = configs_of(PROJECT, default="experiment=encoder_imdb")


@pytest.mark.parametrize("scale", ["quick", "laptop", "paper"])
@pytest.mark.parametrize("table", PROJECT.tables(ROOT))
def test_every_row_composes_and_passes_its_check(table, scale):
    loaded = load_table("explaining", table, scale, ROOT)
    kinds = {(cell.key.get("data"), cell.key.get("model")): cell for cell in loaded.cells}
    for cell in kinds.values():
        config = typed(Config, cell.config)
        check(config)
        assert config.data.kind == "synthetic" or config.data.name in loaded.spec.data_sets


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("analysis.attention=E7", "analysis.attention must be .*'E1'.*got 'E7'"),
        ("experiment=bert_imdb data.kind=synthetic data.name=majority", "no words that a pre-trained model knows"),
        ("experiment=bert_imdb model.query=learned", "the explained query of model.name=bert is the first token's"),
        ("data.kept=[1]", r"data.kept must name data.classes = 2 labels, got \[1\]"),
        (
            "data.kind=synthetic data.name=lookups",
            "data.name must be one of majority, lookup, got 'lookups'. Did you mean",
        ),
        ("data.classes=1", "data.classes must be greater than or equal to 2, got 1"),
        ("analysis.length=200", "analysis.length must be 2 to data.length = 96, got 200"),
        ("analysis.texts=101", "analysis.texts = 101 is more than data.test_texts = 100"),
        ("model.value_width=0", "model.value_width must be greater than 0, got 0"),
        ("data.length=600", "data.length must be less than or equal to 512, got 600"),
        ("training.learning_rate=0", "training.learning_rate must be greater than 0, got 0"),
    ],
)
def test_a_config_that_cannot_run_is_refused(override, message):
    with pytest.raises((ValueError, UserError), match=message):
        check(config_of(*override.split()))


def test_the_schema_names_what_there_is():
    assert get_args(get_type_hints(Analysis)["attention"]) == NAMES
    assert tuple(SYNTHETIC_TASKS) == tuple(SYNTHETIC_WORDS) == SYNTHETIC

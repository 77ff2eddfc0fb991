"""The floors of the entry condition, on a task where only attention tells."""

import pytest

from projects.explaining.analyses import floors
from projects.explaining.tasks.classification import trained_classifier, uniform_accuracy
from regard_lab.evidence.gate import read_gates
from regard_lab.experiment.table_file import read_table
from tests.paths import ROOT
from tests.projects.explaining.test_models import config_of, place  # noqa: F401 (a fixture)

LOOKUP = ("experiment=encoder_lookup", "data.length=5", "model.width=16", "training.batch_size=64")
TEXTS = ("data.train_texts=2048", "data.validation_texts=64", "data.test_texts=400", "training.epochs=4")


def test_learnt_weights_beat_even_ones_where_only_a_question_tells(place):  # noqa: F811
    config = config_of(*LOOKUP, *TEXTS, "training.learning_rate=2e-2")
    assert trained_classifier(config, place).accuracy > 85
    assert floors.majority(config, place).metrics["accuracy"] == 25.0
    even, bag = (run(config, place).metrics["accuracy"] for run in (floors.even_weights, floors.mean_of_embeddings))
    assert even == uniform_accuracy(config, place)
    assert max(even, bag) < 45  # four things and four answers: a bag of few tokens tells a little by chance


@pytest.mark.parametrize("table", ["interventions", "faithfulness", "rivals"])
def test_claims_about_explanation_wait_for_the_entry_condition(table):
    file = read_table(ROOT / "projects" / "explaining", table)
    (gate,) = read_gates(file)
    assert {"even_weights", "majority", "mean_of_embeddings"} == set(gate.floors)
    assert gate.problems == ("model", "data")
    assert not gate.signal
    asked = {
        "interventions": {"kept_tvd", "removed_tvd"},
        "faithfulness": {"tau_gradient", "tau_occlusion"},
        "rivals": {"comprehensiveness_weights", "sufficiency_rollout", "tau_norm"},
    }
    assert asked[table] <= set(gate.governs)

"""The table of rivals: its cells, its control, and what its claims wait for."""

import pytest
import torch

from projects.explaining.analyses import rivals
from projects.explaining.analyses.explained_layer import explained_texts
from projects.explaining.analyses.faithfulness import occlusion_importance
from projects.explaining.analyses.rationales import aopc, rationales
from regard_lab.evidence.gate import read_gates
from regard_lab.evidence.paper import load_paper
from regard_lab.experiment.items import outcomes_of
from regard_lab.experiment.table_file import read_table
from tests.paths import ROOT
from tests.projects.explaining.test_models import SMALL, config_of, place  # noqa: F401 (a fixture)

LOOKUP = ("table=rivals", "experiment=encoder_lookup", "analysis.length=null", *SMALL)


def cell(place, attention, *overrides):  # noqa: F811
    return rivals.run(config_of(*LOOKUP, *overrides, f"analysis.attention={attention}"), place)


def test_rows_differ_in_what_the_weights_make_and_the_control_in_everything(place):  # noqa: F811
    raw, effective, control = (cell(place, name) for name in ("raw", "E1", "permuted"))
    for name in ("gradient", "gradient_input", "integrated", "occlusion"):
        assert effective.metrics[f"comprehensiveness_{name}"] == raw.metrics[f"comprehensiveness_{name}"]
        assert control.metrics[f"comprehensiveness_{name}"] != raw.metrics[f"comprehensiveness_{name}"]
    for name in ("weights", "norm", "rollout"):
        for measure in ("comprehensiveness", "sufficiency", "tau"):
            assert len({one.metrics[f"{measure}_{name}"] for one in (raw, effective, control)}) == 3
    assert raw.metrics["weights_behind_occlusion"] == pytest.approx(
        raw.metrics["comprehensiveness_occlusion"] - raw.metrics["comprehensiveness_weights"]
    )
    assert "tau_occlusion" not in raw.metrics  # with itself
    assert raw.metrics["completeness_error"] == control.metrics["completeness_error"] < 1e-3
    for one in (raw, effective, control):
        kept = outcomes_of(one)  # which holds their means to the metrics
        assert {len(outcomes.values) for outcomes in kept.values()} == {4}
        assert set(one.metrics) - set(kept) == {"longer", "accuracy", "uniform_accuracy"}


def test_a_value_is_that_of_its_text_alone(place):  # noqa: F811
    """A text's comprehensiveness from its tokens, and τ of a one-hot importance from how often its change is the largest."""
    texts = explained_texts(config_of(*LOOKUP), place)
    weights = texts.layer.attention.mean(1)
    found = rivals.measured(texts, {"weights": weights, "first": torch.zeros_like(weights)}, seed=0)
    order = weights[2, 1:].argsort(descending=True) + 1  # the question is no token of the order
    free = torch.arange(25) > 0
    expected = aopc(texts.model, texts.tokens[2], free, rationales(order, 25)[None], texts.predicted[2])
    assert float(found["comprehensiveness_weights"][2]) == pytest.approx(float(expected[0]))
    assert float(found["sufficiency_weights"][2]) == pytest.approx(float(expected[1]))
    assert not found["tau_first"].any()  # no order at all
    change = occlusion_importance(texts, 4)
    assert torch.allclose(rivals.occluded(texts).change, change)
    itself = rivals.measured(texts, {"change": change, "integrated": -change}, seed=0)
    assert itself["tau_change"].tolist() == [1.0] * 4
    assert itself["tau_integrated"].tolist() == [1.0] * 4  # a signed importance by its size


def test_a_text_of_one_token_has_no_ranks(place):  # noqa: F811
    texts = explained_texts(config_of(*LOOKUP, "analysis.length=2"), place)  # the question, and one thing
    found = rivals.measured(texts, {"weights": texts.layer.attention.mean(1)}, seed=0)
    assert not torch.stack(list(found.values())).any()


def test_the_control_is_the_same_numbers_in_another_order(place):  # noqa: F811
    texts = explained_texts(config_of(*LOOKUP), place)
    weights = texts.layer.attention.mean(1)
    shuffled = rivals.at_random(texts, {"a": weights, "b": weights}, seed=0)
    assert torch.equal(shuffled["a"][:, 0], weights[:, 0])  # the question
    assert torch.equal(shuffled["a"].sort(-1).values, weights.sort(-1).values)
    assert not torch.equal(shuffled["a"], shuffled["b"])
    assert not torch.equal(shuffled["a"], weights)


def test_what_is_no_attention_is_refused_before_training(place):  # noqa: F811
    with pytest.raises(ValueError, match=r"must be one of raw, E1, .*permuted, got 'uniform'"):
        cell(place, "uniform")
    assert not (place / "runs").exists()


def test_claims_about_attention_wait_for_the_entry_condition_and_controls_do_not():
    file = read_table(ROOT / "projects" / "explaining", "rivals")
    (gate,) = read_gates(file)
    claims = [claim for claim in load_paper(ROOT / "projects" / "explaining").claims if claim.table == "rivals"]
    assert {claim.metric for claim in claims if claim.kind == "experiment"} <= set(gate.governs)
    assert {claim.metric for claim in claims if claim.kind == "check"}.isdisjoint(gate.governs)
    assert {claim.kind for claim in claims} == {"experiment", "check"}
    lookup = [claim for claim in claims if claim.group == "erasing-heavy-tokens"]
    assert {claim.row["attention"] for claim in lookup} == {"raw", "E1", "E3", "E4", "E5"}
    assert all(claim.against == {"attention": "permuted", "model": "encoder", "data": "lookup"} for claim in lookup)
    (faithfulness,) = read_gates(read_table(ROOT / "projects" / "explaining", "faithfulness"))
    assert (gate.margin, gate.floors) == (faithfulness.margin, faithfulness.floors)

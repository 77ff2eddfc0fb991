"""Figures: the colours of groups, and all of them from results."""

from projects.social_groups.figures import FIGURES
from projects.social_groups.figures.scenes import GROUPS, colours
from projects.social_groups.tasks.recognition import train
from regard_lab.experiment.results import DataUse, Metric, Result, Row
from regard_lab.report.figures import Results
from tests.projects.social_groups.made_up import SMALL, config_of


def test_a_predicted_group_has_the_colour_of_the_true_one_it_is_like():
    true = [{"members": [0, 1, 2]}, {"members": [3, 4]}]
    predicted = [{"members": [3, 4, 5]}, {"members": [0, 1]}, {"members": [1, 2]}, {"members": [6]}]
    found = colours(true, predicted)
    assert found["true"] == GROUPS[:2]
    assert found["predicted"][:2] == [GROUPS[1], GROUPS[0]]
    # the third is like a true group that is taken, the last like none
    assert not {*found["predicted"][2:]} & {*found["true"]}
    assert len({*found["predicted"]}) == 4


def test_figures_are_drawn_from_results_and_are_nothing_without(made_up_data, tmp_path):
    assert all(make(Results([])) is None for make in FIGURES.values())
    measured = train(config_of("experiment=plaza", *SMALL), tmp_path)
    shown = {"exhibits": measured.exhibits, "metrics": measured.metrics}
    results = []
    for table, key in (("query_designs", {"queries": "sum"}), ("self_attention", {"self_attention": "inter_intra"})):
        row = Row(key, {"group_iou": Metric.of([1.0], "%")}, "ok", "", [0], ["one"])
        results.append(Result("social_groups", table, "quick", "", [DataUse("plaza", None, "")], [row], {"one": shown}))
    times = {"attention_s": Metric.of([0.1], "s"), "tokens": Metric.of([120.0], "")}
    row = Row({"self_attention": "full", "groups": 20, "slots": 6}, times, "ok", "", [0], ["one"])
    results.append(Result("social_groups", "cost", "quick", "", [], [row], {}))
    assert all(make(Results(results)) is not None for make in FIGURES.values())

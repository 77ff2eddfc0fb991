"""What a design of self attention costs."""

from projects.social_groups.analyses import cost
from tests.projects.social_groups.made_up import SMALL, config_of


def test_the_cost_of_a_design(tmp_path):
    found = {
        name: cost.measure(config_of(f"model.self_attention={name}", "model.groups=5", *SMALL[2:3]), tmp_path).metrics
        for name in ("full", "inter_intra")
    }
    assert (found["full"]["pairs"], found["inter_intra"]["pairs"]) == (900, 330)
    assert found["full"]["tokens"] == 30
    assert found["inter_intra"]["attention_parameters"] == 2 * found["full"]["attention_parameters"]
    assert all(metrics["attention_s"] > 0 and metrics["step_s"] > metrics["attention_s"] for metrics in found.values())

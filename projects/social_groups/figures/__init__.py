"""The figures of social groups: scenes with true and predicted groups, the designs side by side, and what self attention costs."""

from projects.social_groups.figures.charts import cost, query_designs, self_attention
from projects.social_groups.figures.scenes import court_scene, plaza_scene
from regard_lab.report.figures import Maker

FIGURES: dict[str, Maker] = {
    "court_scene": court_scene,
    "plaza_scene": plaza_scene,
    "query_designs": query_designs,
    "self_attention": self_attention,
    "cost": cost,
}

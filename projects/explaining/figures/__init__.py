"""The figures: a review under raw and effective attention, distributions, how free attention is, what it agrees with, all heads."""

from projects.explaining.figures.atlas import null_shares
from projects.explaining.figures.review import review
from projects.explaining.figures.tables import agreement, distributions, freedom
from regard_lab.report.figures import Maker

FIGURES: dict[str, Maker] = {
    "review": review,
    "distributions": distributions,
    "freedom": freedom,
    "agreement": agreement,
    "null_shares": null_shares,
}

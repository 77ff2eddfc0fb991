"""The figures of SMYRF, area by area."""

from projects.smyrf.analysis import figures as analysis
from projects.smyrf.gan import figures as gan
from projects.smyrf.pretrained import figures as pretrained
from projects.smyrf.speed import figures as speed
from projects.smyrf.text import figures as text
from regard_lab.report.figures import Maker

FIGURES: dict[str, Maker] = {**analysis.FIGURES, **text.FIGURES, **pretrained.FIGURES, **speed.FIGURES, **gan.FIGURES}

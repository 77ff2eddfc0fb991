"""The figures of SMYRF, one file per area."""

from projects.smyrf.figures import attention_maps, generators, pretrained, speed, texts
from regard_lab.report.figures import Maker

FIGURES: dict[str, Maker] = {
    **attention_maps.FIGURES,
    **texts.FIGURES,
    **pretrained.FIGURES,
    **speed.FIGURES,
    **generators.FIGURES,
}

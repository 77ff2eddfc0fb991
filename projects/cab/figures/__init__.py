"""The figures of CAB: leaderboards and correlations recomputed, costs by length, our index, contexts, the benefit of attention, and speech."""

from projects.cab.figures.curves import contexts, costs
from projects.cab.figures.heat_maps import correlations, leaderboards
from projects.cab.figures.index import benefit, index
from projects.cab.figures.speech import speech
from regard_lab.report.figures import Maker

FIGURES: dict[str, Maker] = {
    "leaderboards": leaderboards,
    "correlations": correlations,
    "costs": costs,
    "index": index,
    "contexts": contexts,
    "benefit": benefit,
    "speech": speech,
}

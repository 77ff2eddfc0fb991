"""ECL (electricity consuming load): the electricity use of 321 clients, hour by hour over three years.

Split as in the released code of Informer: seven tenths of the steps are for training, the last two tenths for testing,
and those in between for validation. Informer's validation and test windows begin with known values of the preceding
split; ours lie within their split.
"""

from pathlib import Path

from regard_lab.data.card import Card, Source
from regard_lab.data.series import Series, cut_at, read_table

FORM = Series
COLUMNS = tuple(f"MT_{client:03}" for client in range(321))
STEPS = 26_304  # of the official file
SIZES = {"train": 18_412, "validation": 2_632, "test": 5_260}

CARD = Card(
    name="ecl",
    title="ECL (electricity consuming load)",
    stands_in_for=None,
    licence="CC BY 4.0 (the set of the UCI repository that it is made from)",
    citation="Trindade: ElectricityLoadDiagrams20112014. UCI Machine Learning Repository, 2015. Made hourly by Zhou et al., AAAI 2021.",
    homepage="https://github.com/zhouhaoyi/Informer2020",
    sources=(Source("folder", "ECL.csv as Informer has it", SIZES),),
    note="The paper of Informer counts 15, 3 and 4 months; its code, which CAB runs, takes 70, 10 and 20 %.",
)


def from_folder(folder: Path) -> dict[str, Series]:
    """The file that Informer's authors provide."""
    series = read_table(folder / "ECL.csv", COLUMNS)
    return cut_at(series, CARD.title, STEPS, SIZES)

"""ETTh1: one transformer of electricity, hour by hour over two years.

Split as in the released code of Informer: the first 12 months train, the next 4 validate, the next 4 test, a month being 30 days; the rest is
left out. Informer's windows of validation and test begin with known values of the split before; ours lie within their split.
"""

from pathlib import Path

from regard_lab.data.card import Card, Source
from regard_lab.data.series import Series, cut_at, read_table

FORM = Series
COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
MONTH = 30 * 24
STEPS = 17_420  # of the official file
SIZES = {"train": 12 * MONTH, "validation": 4 * MONTH, "test": 4 * MONTH}

CARD = Card(
    name="etth1",
    title="ETTh1 (electricity transformer temperature)",
    stands_in_for=None,
    licence="CC BY-ND 4.0",
    citation="Zhou et al.: Informer: Beyond Efficient Transformer for Long Sequence Time-Series Forecasting. AAAI 2021.",
    homepage="https://github.com/zhouhaoyi/ETDataset",
    sources=(Source("folder", "ETTh1.csv of the folder ETT-small", SIZES),),
    note="Six loads and the oil temperature (OT), every hour. Of 17,420 steps the first 20 months, as in Informer's code: 12, 4 and 4.",
)


def from_folder(folder: Path) -> dict[str, Series]:
    """The official file."""
    series = read_table(folder / "ETTh1.csv", COLUMNS)
    return cut_at(series, CARD.title, STEPS, SIZES)

"""Weather (WTH): the weather of one place in the United States, hour by hour over four years, twelve channels.

Split as in the released code of Informer: seven tenths of the steps are for training, the last two tenths for testing,
and those in between for validation. Informer's validation and test windows begin with known values of the preceding
split; ours lie within their split.
"""

from pathlib import Path

from regard_lab.data.card import Card, Source
from regard_lab.data.series import Series, cut_at, read_table

FORM = Series
COLUMNS = (
    "Visibility",
    "DryBulbFarenheit",
    "DryBulbCelsius",
    "WetBulbFarenheit",
    "DewPointFarenheit",
    "DewPointCelsius",
    "RelativeHumidity",
    "WindSpeed",
    "WindDirection",
    "StationPressure",
    "Altimeter",
    "WetBulbCelsius",
)
STEPS = 35_064  # of the official file
SIZES = {"train": 24_544, "validation": 3_508, "test": 7_012}

CARD = Card(
    name="weather",
    title="Weather (WTH)",
    stands_in_for=None,
    licence="none stated; climate data of the NOAA (United States)",
    citation="Zhou et al.: Informer: Beyond Efficient Transformer for Long Sequence Time-Series Forecasting. AAAI 2021.",
    homepage="https://github.com/zhouhaoyi/Informer2020",
    sources=(Source("folder", "WTH.csv as Informer has it", SIZES),),
    note="Hourly, 2010 to 2013. The paper of Informer counts 28, 10 and 10 months; its code, which CAB runs, takes 70, 10 and 20 %.",
)


def from_folder(folder: Path) -> dict[str, Series]:
    """The file that Informer's authors provide."""
    series = read_table(folder / "WTH.csv", COLUMNS)
    return cut_at(series, CARD.title, STEPS, SIZES)

"""ETTm1: the transformer of ETTh1, quarter hour by quarter hour over two years."""

from pathlib import Path

from regard_lab.data.ett import COLUMNS, card, sizes
from regard_lab.data.series import Series, cut_at, read_table

FORM = Series
STEPS = 69_680  # of the official file
SIZES = sizes(per_hour=4)
CARD = card("ETTm1", steps=STEPS, every="every quarter of an hour", splits=SIZES)


def from_folder(folder: Path) -> dict[str, Series]:
    """The official file."""
    return cut_at(read_table(folder / "ETTm1.csv", COLUMNS), CARD.title, STEPS, SIZES)

"""ETTh2: a second electricity transformer, hour by hour over two years."""

from pathlib import Path

from regard_lab.data.ett import COLUMNS, card, sizes
from regard_lab.data.series import Series, cut_at, read_table

FORM = Series
STEPS = 17_420  # of the official file
SIZES = sizes(per_hour=1)
CARD = card("ETTh2", steps=STEPS, every="every hour", splits=SIZES)


def from_folder(folder: Path) -> dict[str, Series]:
    """The official file."""
    return cut_at(read_table(folder / "ETTh2.csv", COLUMNS), CARD.title, STEPS, SIZES)

"""What the sets of ETT share (electricity transformer temperature): columns, borders, card.

Split as in the released code of Informer: the first 12 months for training, the next 4 for validation, the next 4 for
testing, where a month is 30 days; the rest is left out. Informer's validation and test windows begin with known values
of the preceding split; ours lie within their split.
"""

from regard_lab.data.card import Card, Source

COLUMNS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
MONTHS = {"train": 12, "validation": 4, "test": 4}


def sizes(per_hour: int) -> dict[str, int]:
    """The steps of each split.

    Args:
        per_hour: Steps in an hour.
    """
    return {split: months * 30 * 24 * per_hour for split, months in MONTHS.items()}


def card(title: str, *, steps: int, every: str, splits: dict[str, int]) -> Card:
    """The card of a set.

    Args:
        title: `ETTh1`, which names its file too.
        steps: The number of steps in the official file.
        every: How often values are taken, in words.
        splits: The sizes of the splits.
    """
    return Card(
        name=title.lower(),
        title=f"{title} (electricity transformer temperature)",
        stands_in_for=None,
        licence="CC BY-ND 4.0",
        citation="Zhou et al.: Informer: Beyond Efficient Transformer for Long Sequence Time-Series Forecasting. AAAI 2021.",
        homepage="https://github.com/zhouhaoyi/ETDataset",
        sources=(Source("folder", f"{title}.csv of the folder ETT-small", splits),),
        note=f"Six loads and the oil temperature (OT), {every}. Of {steps:,} steps the first 20 months, as in Informer's code: 12, 4 and 4.",
    )

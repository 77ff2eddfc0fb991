"""The papers' own files, where REGARD_OWN_DATA names a folder that holds them: read whole, with their official sizes.

The folder may hold `ETT-small`, `Informer-Autoformer-series`, `GLUE`, `Anki-spa-eng`, each as its official download or as archives of it.
"""

import csv
import datetime
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from regard_lab import data
from regard_lab.data.sets import ettm1

OWN = os.environ.get("REGARD_OWN_DATA", "")


def own(name: str, tmp_path: Path) -> Path:
    """A folder with the files of one download, archives unpacked; skips where there is none."""
    folder = Path(OWN) / name
    if not OWN or not folder.is_dir():
        pytest.skip(f"REGARD_OWN_DATA names no folder with {name}")
    for file in folder.iterdir():
        if file.suffix == ".zip":
            zipfile.ZipFile(file).extractall(tmp_path)
        elif file.is_file():
            (tmp_path / file.name).symlink_to(file.resolve())
    return tmp_path


@pytest.mark.parametrize(
    ("name", "download"),
    [
        ("etth1", "ETT-small"),
        ("etth2", "ETT-small"),
        ("weather", "Informer-Autoformer-series"),
        ("ecl", "Informer-Autoformer-series"),
        ("anki", "Anki-spa-eng"),
    ],
)
def test_a_set_is_prepared_with_its_official_sizes(name: str, download: str, tmp_path: Path, root: Path) -> None:
    folder = own(download, tmp_path)
    if name == "ecl" and not (folder / "ECL.csv").exists():
        pytest.skip("REGARD_OWN_DATA has no ECL.csv")
    data.prepare(name, root, "folder", folder)
    sizes = {split: len(rows) for split, rows in data.load(name, root, "folder").items()}
    assert sizes == dict(data.card(name).source("folder").sizes)


def test_quarter_hours_of_ettm1_agree_with_the_hours_of_etth1(tmp_path: Path) -> None:
    """The copy of ETTm1 has neither head nor dates: both are written, and every fourth row is the hour's of ETTh1."""
    folder = own("ETT-small", tmp_path)
    start = datetime.datetime(2016, 7, 1)
    if not (folder / "ETTm1.csv").exists():
        lines = (folder / "ETTm1" / "ETTm1.txt").read_text().splitlines()
        dated = [f"{start + datetime.timedelta(minutes=15 * step)},{line}" for step, line in enumerate(lines)]
        (folder / "ETTm1.csv").write_text("\n".join([",".join(["date", *ettm1.COLUMNS]), *dated, ""]))
    quarters = ettm1.from_folder(folder)
    with (folder / "ETTh1.csv").open(newline="") as file:
        hours = np.array([row[1:] for row in list(csv.reader(file))[1 : 1 + 8_640]], np.float32)
    assert np.allclose(quarters["train"].values[::4], hours, atol=1e-6)


def test_glue_has_the_official_sizes_of_every_task_that_is_there(root: Path) -> None:
    folder = Path(OWN) / "GLUE"
    if not OWN or not folder.is_dir():
        pytest.skip("REGARD_OWN_DATA names no folder with GLUE")
    data.prepare("glue", root, "folder", folder)
    splits = data.load("glue", root, "folder")
    assert {"cola_train", "sst2_train", "stsb_train", "rte_train", "mrpc_train"} <= set(splits)
    assert all(len(rows) == data.card("glue").sizes[name] for name, rows in splits.items())
    assert (splits["mrpc_train"].scores == 1).sum() == 2_474
    assert set(splits["rte_validation"].scores) == {0, 1}

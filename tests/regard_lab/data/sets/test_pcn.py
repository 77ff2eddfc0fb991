"""PCN out of the folder that PoinTr reads."""

import json
from pathlib import Path

import numpy as np
import pytest

from regard_lab.common.errors import UserError
from regard_lab.data.sets import pcn
from tests.regard_lab.data.test_point_clouds import pcd


def test_objects_and_their_views(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pcn, "PARTIAL", 3)
    monkeypatch.setattr(pcn, "COMPLETE", 4)
    monkeypatch.setattr(pcn, "VIEWS", {"train": 2, "validation": 1, "test": 1})
    categories = [
        {"taxonomy_id": "02691156", "taxonomy_name": "airplane", "train": ["a", "b"], "val": ["c"], "test": ["d"]}
    ]
    (tmp_path / "PCN.json").write_text(json.dumps(categories), encoding="utf-8")
    for half, names in (("train", "ab"), ("val", "c"), ("test", "d")):
        for name in names:
            base = tmp_path / half / "partial" / "02691156" / name
            base.mkdir(parents=True)
            for view in range(2 if half == "train" else 1):
                (base / f"{view:02}.pcd").write_bytes(pcd(np.full((2 + view * 3, 3), ord(name) + view), "binary"))
            whole = tmp_path / half / "complete" / "02691156" / f"{name}.pcd"
            whole.parent.mkdir(parents=True, exist_ok=True)
            whole.write_bytes(pcd(np.full((4, 3), ord(name)), "ascii"))
    splits = pcn.from_folder(tmp_path)
    train = splits["train"]
    assert train.partial.shape == (4, 3, 3)
    assert train.partial[:, :, 0].tolist() == [[97, 97, 0], [98, 98, 98], [98, 98, 0], [99, 99, 99]]
    assert train.complete[:, 0, 0].tolist() == [97, 98]
    assert (train.objects.tolist(), train.names) == ([0, 0, 1, 1], ["02691156/a", "02691156/b"])
    assert list(splits["test"].keys()) == ["02691156/d"]
    (tmp_path / "test" / "complete" / "02691156" / "d.pcd").write_bytes(pcd(np.zeros((3, 3)), "ascii"))
    with pytest.raises(UserError, match=r"d.pcd has 3 points, expected 4"):
        pcn.from_folder(tmp_path)


def test_sizes_are_the_official_ones() -> None:
    assert pcn.SIZES["train"] == 8 * 28_974
    assert 28_974 + pcn.SIZES["validation"] + pcn.SIZES["test"] == 30_974

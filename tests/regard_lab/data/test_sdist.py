"""Source archives, fetched without running anything of them."""

from regard_lab.data import sdist


def test_source_archives_in_process(index, tmp_path, monkeypatch):
    (index / "tiny-1.0.tar.gz").write_bytes(b"as it is")
    assert sdist.main("tiny", "1.0", tmp_path) == ""
    assert (tmp_path / "tiny-1.0.tar.gz").read_bytes() == b"as it is"
    assert sdist.main("tiny", "1.1", tmp_path) == "no source archive of tiny 1.1 found"
    monkeypatch.setattr(sdist, "PARTS", {"commands": "moved"})
    assert "pip._internal.moved" in sdist.main("tiny", "1.0", tmp_path)

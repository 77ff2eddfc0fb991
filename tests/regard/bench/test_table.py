"""The csv files: nothing is lost on the way there and back, new rows take old ones' places."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regard.bench import table
from regard.bench.cases import Case
from regard.bench.table import Environment, Row, as_csv, file_of, processor, read, read_all, write
from regard.loading import BadRequest

HERE = Environment("2.13.0+cpu", "Intel(R) Xeon(R) Platinum 8481C CPU @ 2.70GHz", 4, 2)
CASE = Case("smyrf", "library", "mix", "noncausal_self", "rounds=2 cluster_size=32", n=128)
ROW = Row(CASE, HERE, "2026-01-02 03:04", 0.5, 0.25, 3, 1.5, 48.0, 200.5)


def seconds():
    return st.none() | st.integers(1, 10**9).map(lambda count: count / 1e7)


@given(
    mechanism=st.sampled_from(["smyrf", 'a "b", c.py:D', "µ"]),
    options=st.sampled_from(["", "rounds=2 cluster_size=32"]),
    backward=st.booleans(),
    n=st.integers(1, 10**7),
    time_s=seconds(),
    baseline_s=seconds(),
    peak_mib=st.none() | st.integers(0, 10**7).map(lambda count: count / 1000),
    repeats=st.integers(0, 99),
    skipped=st.sampled_from(["", "predicted: 4 runs, of 12 s", 'a "word"\nand a line']),
)
def test_there_and_back(
    tmp_path_factory, mechanism, options, backward, n, time_s, baseline_s, peak_mib, repeats, skipped
):
    case = replace(CASE, mechanism=mechanism, options=options, backward=backward, n=n, heads=1, pattern="causal_cross")
    row = Row(
        case, HERE, "2026-01-02 03:04", time_s, time_s, repeats, baseline_s, peak_mib, peak_mib, peak_mib, skipped
    )
    path = tmp_path_factory.mktemp("csv") / "some.csv"
    path.write_text(as_csv([row, ROW]), encoding="utf-8", newline="")
    assert read(path) == [row, ROW]


def test_a_file_a_pattern_direction_and_environment(tmp_path: Path):
    assert file_of(ROW) == "noncausal_self-float32-2.13.0-intel_xeon_platinum_8481c_2t.csv"
    backward = replace(ROW, case=replace(CASE, backward=True, dtype="bfloat16"))
    assert file_of(backward) == "noncausal_self-backward-bfloat16-2.13.0-intel_xeon_platinum_8481c_2t.csv"
    assert write(tmp_path / "new", [ROW, backward]) == [
        tmp_path / "new" / file_of(ROW),
        tmp_path / "new" / file_of(backward),
    ]
    assert sorted(read_all(tmp_path / "new"), key=str) == sorted([ROW, backward], key=str)
    (tmp_path / "new" / "another_study.csv").write_text("a,b\n")
    assert [path.name for path in table.files(tmp_path / "new")] == sorted([file_of(ROW), file_of(backward)])
    assert len(read_all(tmp_path / "new")) == 2


def test_new_rows_take_the_place_of_old_ones(tmp_path: Path):
    longer, single = (replace(ROW, case=replace(CASE, **change)) for change in ({"n": 256}, {"heads": 1}))
    write(tmp_path, [longer, single, ROW])
    again = replace(ROW, time_s=0.125, date="2026-02-02 03:04")
    (path,) = write(tmp_path, [again])
    assert read(path) == [single, again, longer]


def test_derived_numbers():
    assert ROW.speed == 3
    assert ROW.peak_ratio == 48  # 4 · 8 · 128 · 64 · 4 bytes are 1 MiB
    assert replace(ROW, case=replace(CASE, dtype="bfloat16")).peak_ratio == 96
    assert replace(ROW, baseline_s=None).speed is None
    assert replace(ROW, time_s=None).speed is None
    assert replace(ROW, peak_mib=None).peak_ratio is None


def test_files_that_are_not_ours(tmp_path: Path):
    path = tmp_path / "a.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(BadRequest, match=r"a\.csv is not a file of measurements"):
        read(path)
    whole = as_csv([ROW])
    path.write_text(whole[:-1])
    with pytest.raises(BadRequest, match=r"a\.csv breaks off after \d+ characters"):
        read(path)
    path.write_text(whole[: whole.index("noncausal")] + "\n")
    with pytest.raises(BadRequest, match=r"a\.csv, line 2"):
        read(path)
    path.write_text(whole.replace("False", "no"))
    with pytest.raises(BadRequest, match="backward is True or False, not 'no'"):
        read(path)
    path.write_text(whole.replace("0.5000000", "half"))
    with pytest.raises(BadRequest, match="line 2: could not convert string to float: 'half'"):
        read(path)


def test_environment():
    here = table.environment(3)
    assert (here.threads, here.processor) == (3, processor())
    assert here.cores >= 1
    assert here.torch.startswith("2.")

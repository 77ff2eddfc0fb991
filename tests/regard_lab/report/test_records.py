from dataclasses import replace
from pathlib import Path

import numpy as np

from regard_lab.common.sounds import encode
from regard_lab.experiment.results import Metric, Restamp, Row, result_path, write_result
from regard_lab.report.records import flat, runs
from tests.regard_lab.report.sample_site import LAPTOP, QUICK, lines, page, words


def test_run_records_are_one_click_away(root: Path) -> None:
    link = lines(page(root))["old"].select_one(".runs a")
    assert link is not None
    name, fragment = str(link["href"]).split("#")
    soup = page(root, name)
    record = words(soup.find(id=fragment))
    for part in (
        "old-seed0",
        "seed 0",
        "device cpu <one>",
        "wall time (s) 12.5",
        "peak memory (MiB) 321.0",
        "code fingerprint f1",
    ):
        assert part in record
    assert "accuracy 70.0" in record
    shared = words(soup.find(id="laptop-shared"))
    for part in ("optimiser.rate 0.001", "torch 2.13.0", "revision none"):
        assert part in shared
    assert "optimiser.rate 0.001" not in record
    assert "torch 2.13.0" not in record
    assert len(soup.select("article.record")) == 8  # one says what the laptop's six share; quick has a single run


def test_what_all_runs_share_is_said_once_and_nothing_is_lost() -> None:
    found = runs(LAPTOP)
    assert len(found.records) == 6
    shared = {(section, pair) for section, pairs in found.shared for pair in pairs}
    assert ("config", ("optimiser.rate", "0.001")) in shared
    for record in found.records:
        own = {(section, pair) for section, pairs in record.sections for pair in pairs}
        assert not own & shared
        assert ("metrics", ("accuracy", str(LAPTOP.records[record.cell]["metrics"]["accuracy"]))) in own | shared
        everything = [pair for pair in flat(LAPTOP.records[record.cell]) if not pair[0].startswith("curves")]
        assert len(own | shared) == len(everything)


def test_a_single_run_shares_nothing() -> None:
    assert runs(QUICK).shared == []
    assert runs(QUICK).records[0].sections


def test_a_record_that_is_not_there(root: Path) -> None:
    write_result(result_path(root, "sample", "scores", "laptop"), replace(LAPTOP, records={}))
    assert "The result holds no record of this run." in words(page(root, "records/sample-scores.html"))


def test_floors_have_their_records_below_those_of_the_rows(root: Path) -> None:
    floor = Row({"floor": "majority"}, {"accuracy": Metric.of([51.5], "%")}, "ok", "", [0], ["floor-majority-seed0"])
    record = {
        "identity": {"config": {"depth": 1}, "fingerprint": "f9"},
        "metrics": {"accuracy": 51.5},
        "wall_time_s": 0.25,
    }
    with_floor = replace(LAPTOP, floors=[floor], floor_records={"floor-majority-seed0": record})
    listed = runs(with_floor)
    assert listed.floors is not None
    (found,) = listed.floors.records
    assert (found.cell, found.missing) == ("floor-majority-seed0", False)
    assert replace(listed, floors=None) == runs(LAPTOP)
    write_result(result_path(root, "sample", "scores", "laptop"), with_floor)
    soup = page(root, "records/sample-scores.html")
    shown = words(soup.find(id="laptop-floor-majority-seed0"))
    for part in ("floor-majority-seed0", "wall time (s) 0.25", "code fingerprint f9", "accuracy 51.5"):
        assert part in shown
    assert soup.find(id="laptop-floors") is not None
    assert soup.find(id="quick-floors") is None


def test_the_proofs_of_a_result_stand_above_its_records(root: Path) -> None:
    proof = Restamp("f0", "f1", ["old-seed0"], ["accuracy"], ["time_s"], "the record", "cpu <one>", "abc", "2026-01-02")
    run_beside = replace(proof, against="0123abc", left_out=[])
    result = replace(LAPTOP, restamps=[proof, run_beside, replace(proof, cells=[], note="No cell was run.")])
    write_result(result_path(root, "sample", "scores", "laptop"), result)
    text = words(page(root, "records/sample-scores.html"))
    assert (
        "compared, to the last bit, with their records. Equal: accuracy. Left out, as times or memory: time_s." in text
    )
    assert "with the code of revision 0123abc on the same machine. Equal: accuracy. fingerprint before f0" in text
    assert "No cell was run." in text


def test_flat_records() -> None:
    nested = {"a": {"b": [1, None, True], "c": {}}, "d": 0.5, "e": "", "f": False}
    assert flat(nested) == [("a.b", "1, none, yes"), ("a.c", "none"), ("d", "0.5"), ("e", "none"), ("f", "no")]


def test_a_sound_is_told_by_its_length() -> None:
    assert flat({"exhibits": {"sound": encode(np.zeros(12_000), 8_000)}}) == [("exhibits.sound", "a sound of 1.5 s")]

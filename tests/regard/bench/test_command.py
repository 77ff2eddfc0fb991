"""`python -m regard bench`: what it measures and writes, and what it refuses."""

import argparse
import dataclasses
import functools
import sys
from pathlib import Path

import pytest
import torch

from regard import registry
from regard.__main__ import main
from regard.bench import command, table
from regard.bench.cases import Case
from regard.bench.command import LENGTHS, lengths_of
from regard.bench.table import read_all
from regard.certification import Outcome, certify

OWN = """
from regard.mechanisms.softmax import SoftmaxAttention, naive_softmax

class Own(SoftmaxAttention):
    patterns = ("noncausal_self",)

    def naive(self, q, k, v, key_mask):
        return naive_softmax(q, k, v, key_mask=key_mask)

class Peeking(SoftmaxAttention):
    patterns = ("causal_self", "noncausal_self")

    def mix(self, q, k, v, key_mask):
        return v.roll(-1, 2)

    naive = mix
"""
SMALL = ["--heads", "2", "--head-width", "4", "--threads", "1", "--lengths", "8,16"]


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    """Commands run from a user's folder; what they import is forgotten."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    yield
    sys.modules.pop("user_own", None)
    command.find_class_once.cache_clear()
    command.load_function.cache_clear()


@pytest.fixture
def certified(monkeypatch):
    """Certification takes a minute; here everything passes at once. What was asked of it."""
    asked = []

    def passes(cls, patterns, *, options):
        asked.append((cls.__name__, list(patterns), options))
        return [Outcome(pattern, "all", True, "") for pattern in patterns]

    monkeypatch.setattr(command, "certify", passes)
    return asked


def rows(folder: Path = table.FOLDER) -> set[tuple]:
    return {(r.case.mechanism, r.case.form, r.case.level, r.case.pattern, r.case.n) for r in read_all(folder)}


def test_an_uncertified_mechanism_gets_no_numbers(monkeypatch, capsys):
    properties = ["shape and dtype", "causality"]  # the real ones, without those that compile
    monkeypatch.setattr(command, "certify", functools.partial(certify, properties=properties))
    assert main(["bench", "own.py:Peeking", "--pattern", "causal_self", *SMALL]) == 1
    told = capsys.readouterr()
    assert "own.py:Peeking, causal_self: not certified, so not measured (" in told.err
    assert "causality" in told.err
    assert told.out == ""
    assert not Path("benchmarks").exists()


def test_the_others_are_measured_all_the_same(monkeypatch, capsys):
    def fails(cls, patterns, *, options):
        return [Outcome(pattern, "mixing", cls.__name__ != "LocalAttention", "0.0") for pattern in patterns]

    monkeypatch.setattr(command, "certify", fails)
    assert main(["bench", "local", "efficient", "--pattern", "noncausal_self", *SMALL]) == 1
    assert "local, noncausal_self: not certified, so not measured (1 failed; mixing: 0.0)" in capsys.readouterr().err
    assert {mechanism for mechanism, *_ in rows()} == {"softmax", "efficient"}


def test_rows_of_a_mechanism(certified, capsys):
    assert main(["bench", "local", "--option", "window=3", "--option", "variant=paper", *SMALL]) == 0
    assert certified == [
        ("LocalAttention", [pattern], {"variant": "paper"}) for pattern in ("noncausal_self", "causal_self")
    ]
    wanted = {
        (mechanism, form, "mix", pattern, n)
        for mechanism, form in (("softmax", "fused"), ("local", "library"), ("local", "plain"))
        for pattern in ("noncausal_self", "causal_self")
        for n in (8, 16)
    }
    assert rows() >= wanted
    assert {(row.case.options, row.case.heads, row.environment.threads) for row in read_all(table.FOLDER)} == {
        ("", 2, 1),
        ("window=3 variant=paper", 2, 1),
    }
    assert all(row.time_s and row.peak_mib is None for row in read_all(table.FOLDER))
    assert "local window=3 variant=paper, causal_self: 8: " in capsys.readouterr().out
    assert len(list(table.FOLDER.iterdir())) == 2


def test_a_class_and_a_peer_of_a_users_own(certified):
    Path("peer.py").write_text("def doubled(q, k, v):\n    return 2 * v\n", encoding="utf-8")
    arguments = ["own.py:Own", "--pattern", "noncausal_self", "--peer", "peer.py:doubled", "--folder", "here", *SMALL]
    assert main(["bench", *arguments, "--backward"]) == 0
    assert {(mechanism, form) for mechanism, form, *_ in rows(Path("here"))} == {
        ("softmax", "fused"),
        ("own.py:Own", "library"),
        ("own.py:Own", "plain"),
        ("own.py:Own", "peer.py:doubled"),
    }
    assert all(row.case.backward and not row.skipped for row in read_all(Path("here")))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's process files")
def test_memory_is_written_too(certified):
    assert main(["bench", "softmax", "--memory", "--pattern", "noncausal_self", *SMALL[:-1], "8"]) == 0
    found = read_all(table.FOLDER)
    assert {row.case.level for row in found} == {"mix", "layer"}
    assert all(row.peak_mib is not None and row.resident_mib > row.peak_mib for row in found)


def test_quick_writes_nothing(certified, capsys):
    before = torch.get_num_threads()
    others = ["--heads", "2", "--head-width", "4", "--threads", str(before + 1)]
    assert main(["bench", "local", "--quick", *others]) == 0
    assert "512: " in capsys.readouterr().out
    assert not Path("benchmarks").exists()
    assert torch.get_num_threads() == before


def test_the_default_is_every_mechanism_in_both_self_patterns(monkeypatch, certified):
    asked = []
    monkeypatch.setattr(command, "measured", lambda kinds, environment, options: asked.append(kinds) or [])
    assert main(["bench"]) == 0
    noncausal, causal = asked
    assert {kind.mechanism for kind in noncausal} >= {"smyrf", "nystrom", "s4d", "super", "softmax"}
    assert {kind.pattern for kind in causal} == {"causal_self"}
    assert {kind.mechanism for kind in causal} == {
        name for name in registry.list_mechanisms() if "causal_self" in registry.mechanism_class(name).patterns
    }
    assert [str(kind) for kind in noncausal[:2]] == ["softmax (fused)", "softmax layer"] or noncausal[0].form == "fused"
    assert len({str(kind) for kind in noncausal}) == len(noncausal)
    layers = {kind.mechanism for kind in noncausal if kind.level == "layer"}
    assert layers == {"softmax", "optimised", "efficient", "super", "s4d"}
    assert (LENGTHS[0], LENGTHS[-1]) == (128, 65536)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lokal"], "there is no mechanism 'lokal'. Did you mean 'local'?"),
        (
            ["local", "--pattern", "noncausal_cross"],
            "local does not have the pattern 'noncausal_cross'; it has noncausal_self, causal_self",
        ),
        (["local", "--pattern", "self"], "there is no pattern 'self'; there are noncausal_self,"),
        (["local", "smyrf", "--option", "window=3"], "--option and --peer belong to one mechanism: name it"),
        (["--peer", "a.py:f"], "--option and --peer belong to one mechanism: name it"),
        (["local", "--peer", "a.py:f"], "there is no file a.py"),
        (["local", "--heads", "0"], "--heads must be at least 1, got 0"),
        (["local", "--threads", "0"], "--threads must be at least 1, got 0"),
    ],
)
def test_requests_that_cannot_be_met(arguments, message, capsys):
    assert main(["bench", *arguments]) == 2
    assert f"regard: {message}" in capsys.readouterr().err


def test_lengths_on_the_command_line():
    assert lengths_of("4096,128,128") == [128, 4096]
    for text in ("", "1,a", "0,5"):
        with pytest.raises(argparse.ArgumentTypeError):
            lengths_of(text)


def test_names_of_cases():
    assert str(Case("smyrf", "plain", "mix", "noncausal_self", "rounds=2")) == "smyrf rounds=2 (plain)"
    assert str(Case("super", "library", "layer", "noncausal_self")) == "super layer"


def test_growth_is_added_to_rows_that_are_there(certified):
    small = ["bench", "local", "--pattern", "noncausal_self", *SMALL, "--seconds", "5"]
    assert main([*small, "--growth"]) == 0
    assert not table.FOLDER.exists()
    assert main(small) == 0
    before = read_all(table.FOLDER)
    assert main([*small, "--growth"]) == 0
    after = read_all(table.FOLDER)
    grown = {(row.case.form, row.case.n) for row in after if row.doubling is not None}
    assert grown == {("library", 16)}
    assert [dataclasses.replace(row, doubling=None) for row in after] == before

"""Peak memory of functions that take a known amount."""

import os
import signal
from pathlib import Path

import pytest
import torch

from regard.bench.cases import Case
from regard.bench.memory import available_mib, in_a_fresh_process, peak_of, resident_mib

OWN = """
import os
import torch

def twelve_mib(q, k, v):
    held = torch.ones(3 * 2**20)
    return held.sum() + q

def killed(q, k, v):
    if q.shape[2] > 512:
        os.kill(os.getpid(), 9)
    return q

def refusing(q, k, v):
    raise ValueError("not  like this")
"""
pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="needs Linux's process files")


def case(function: str, folder: Path, n: int = 16) -> Case:
    return Case("softmax", f"{folder}/own.py:{function}", "mix", "noncausal_self", heads=1, head_width=4, n=n)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "own.py").write_text(OWN)
    return tmp_path


def test_a_known_amount_in_this_process():
    freed = []

    def call():
        held = torch.ones(64, 2**18)  # 64 MiB
        freed.append(float(held.sum()))
        del held
        freed.append(float(torch.ones(8, 2**18).sum()))

    peak = peak_of(call)
    assert (
        63.5 <= peak.extra_mib <= 76
    )  # a process that has freed much holds pages of its own; the fresh process below is exact
    assert peak.resident_mib > peak.extra_mib
    assert peak_of(lambda: None).extra_mib < 8  # an earlier peak is forgotten; the system counts each core by itself


def test_a_known_amount_in_a_fresh_process(folder):
    peak = in_a_fresh_process(case("twelve_mib", folder), threads=1)
    assert not isinstance(peak, str), peak
    assert 11.75 <= peak.extra_mib <= 15  # the system counts in pages


def test_the_output_counts_and_inputs_do_not():
    """Fused attention of one head, 2048 × 1024: an output of 8 MiB, inputs of 24 MiB."""
    fused = Case("softmax", "fused", "mix", "noncausal_self", heads=1, head_width=1024, n=2048)
    peak = in_a_fresh_process(fused, threads=1)
    assert not isinstance(peak, str), peak
    assert 7.75 <= peak.extra_mib <= 16


def test_why_there_is_no_number(folder):
    assert in_a_fresh_process(case("refusing", folder), threads=1) == "ValueError: not like this"
    assert (
        in_a_fresh_process(case("killed", folder, n=600), threads=1)
        == f"the process was ended by signal {signal.SIGKILL.value}"
    )
    assert in_a_fresh_process(case("twelve_mib", folder), threads=1, timeout_s=0) == "took more than 0 s"


def test_memory_of_the_machine():
    assert 0 < resident_mib("VmRSS") <= resident_mib("VmHWM")
    assert 0 < available_mib() <= os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20

"""Four executors, one behaviour: results, errors and the order of finishing."""

import concurrent.futures
import math
import operator
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from regard_lab.common.errors import UserError
from regard_lab.experiment.executors import ProcessEnded, as_finished, executor


def check(pool) -> None:
    with pool:
        futures = [pool.submit(math.factorial, n) for n in (3, 4, 5)]
        assert sorted(future.result() for future in as_finished(futures)) == [6, 24, 120]
        with pytest.raises(Exception, match="division by zero"):
            pool.submit(operator.truediv, 1, 0).result()


def test_inline():
    check(executor("inline"))


@pytest.mark.slow
def test_processes():
    check(executor("processes", workers=2))


@pytest.mark.slow
def test_a_process_that_dies_takes_its_own_call_with_it_and_no_other():
    with executor("processes", workers=2) as pool:
        calls = [pool.submit(os._exit, 1) if n == 1 else pool.submit(math.factorial, n) for n in range(6)]
        with pytest.raises(ProcessEnded, match="ended without an answer"):
            calls[1].result()
        assert [calls[n].result() for n in (0, 2, 3, 4, 5)] == [1, 2, 6, 24, 120]


FORKED = """
import os
from regard_lab.experiment.executors import executor
if __name__ == "__main__":
    with executor("processes", workers=2) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
        modules = pool.submit(eval, "sorted(__import__('sys').modules)").result()
        assert "lightning" in modules, modules
"""


@pytest.mark.slow
def test_processes_have_torch_before_they_are_asked(tmp_path):
    """In an interpreter of its own: a process has one fork server, and another test's may have been started with other imports."""
    script = tmp_path / "forked.py"
    script.write_text(FORKED)
    subprocess.run([sys.executable, str(script)], check=True)


KILLED = """
import os, time
from regard_lab.experiment.executors import executor
if __name__ == "__main__":
    with executor("processes", workers=2) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        for _ in range(2):
            pool.submit(time.sleep, 600)
        time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc whether a process runs")
def test_workers_end_when_their_runner_is_killed(tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        worker = int(runner.stdout.readline())
        runner.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 300  # of patience; a worker ends at once
    while runs(worker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not runs(worker)


def runs(process: int) -> bool:
    """Does a process of that number run? One that has ended and is not yet collected does not."""
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


def test_one_worker_is_this_process():
    with executor("processes", workers=1) as pool:
        assert pool.submit(os.getpid).result() == os.getpid()


@pytest.mark.slow
def test_slurm_runs_locally(tmp_path):
    check(executor("slurm", folder=tmp_path, cluster="local", timeout_min=20))


@pytest.mark.slow
def test_ray_runs_locally():
    check(executor("ray", workers=1))


def test_results_come_in_the_order_in_which_they_finish():
    first, second = concurrent.futures.Future(), concurrent.futures.Future()
    second.set_result("second")
    finished = as_finished([first, second], every_s=0.001)
    assert next(finished) is second
    first.set_result("first")
    assert next(finished) is first
    assert list(finished) == []


def test_an_unknown_executor_and_a_wrong_number_of_workers():
    with pytest.raises(UserError, match="Did you mean 'slurm'"):
        executor("slrum")
    with pytest.raises(UserError, match="workers must be at least 1, got -1"):
        executor("processes", workers=-1)


@pytest.mark.parametrize(("name", "module"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_missing_extra_says_what_to_install(name, module, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match=rf"pip install 'regard\[{name}\]'"):
        executor(name, folder=tmp_path)

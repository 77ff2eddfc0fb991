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
from regard_lab.experiment import executors
from regard_lab.experiment.executors import ProcessEnded, as_finished, executor, gpus


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


# -- GPUs, of which this machine may have none: counted by a stand-in.


@pytest.fixture
def two_gpus(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_gpus_have_the_names_that_the_environment_gives_them(two_gpus, monkeypatch):
    assert gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, GPU-3f")
    assert gpus() == ["5", "GPU-3f"]
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert gpus() == []


def test_each_worker_sees_a_gpu_of_its_own(two_gpus, monkeypatch):
    begun = []

    class Pool(executors.Inline):
        def __init__(self, count, mp_context, initializer, initargs):
            begun.append((count, initializer, *initargs))
            time.sleep(0.05)  # so that another thread takes the next call

        def shutdown(self, wait):
            return None

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(executors, "import_early", lambda: None)
    with executor("processes") as pool:  # as many workers as GPUs
        for future in [pool.submit(time.sleep, 0.05) for _ in range(6)]:
            future.result()
    assert sorted(begun, key=str) == [(1, executors.begin_worker, "0"), (1, executors.begin_worker, "1")]


def test_a_worker_begins_with_its_gpu(monkeypatch):
    monkeypatch.setattr(executors, "end_with_parent", lambda: None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    executors.begin_worker(None)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "0,1"
    executors.begin_worker("1")
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "1"


def test_more_workers_than_gpus_are_said(two_gpus, monkeypatch, capsys):
    monkeypatch.setattr(executors, "import_early", lambda: None)
    with executor("processes", workers=5):
        assert "5 workers share 2 GPUs" in capsys.readouterr().err
    with executor("processes", workers=2):
        assert capsys.readouterr().err == ""


def test_a_cell_asks_for_no_more_gpus_than_there_are(two_gpus, monkeypatch, capsys):
    executors.check_devices(2)
    with pytest.raises(UserError, match="trains on 4 GPUs, and this machine has 2"):
        executors.check_devices(4)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    executors.check_devices(4)
    assert "4 processes on the CPU" in capsys.readouterr().err


def test_clusters_are_asked_for_gpus(two_gpus, monkeypatch, tmp_path):
    asked = []

    class Asked:
        """As much of submitit and of Ray as an executor calls."""

        def __init__(self, **_):
            pass

        def update_parameters(self, **options):
            asked.append(options)

        def options(self, **options):
            asked.append(options)
            return self

        def is_initialized(self):
            return True

        def cluster_resources(self):
            return {"CPU": 8, "GPU": 4}

        def remote(self, *_):
            return self

        def future(self):
            return self

        AutoExecutor = property(lambda self: Asked)

    monkeypatch.setattr(executors, "_extra", lambda *_: Asked())
    executor("slurm", folder=tmp_path, devices=4, slurm_partition="gpu")
    executor("slurm", folder=tmp_path, devices=0)
    executor("slurm", folder=tmp_path, devices=4, gpus_per_node=8)
    executor("ray", workers=2).submit(abs, 1)
    executor("ray", workers=8).submit(abs, 1)
    executor("ray", workers=1, devices=4).submit(abs, 1)
    assert asked == [
        {"gpus_per_node": 4, "slurm_partition": "gpu"},
        {},
        {"gpus_per_node": 8},
        {"num_gpus": 1.0},
        {"num_gpus": 0.5},
        {"num_gpus": 4},
    ]


LONG_TMPDIR = """
import os
from regard_lab.experiment.executors import executor
if __name__ == "__main__":
    with executor("processes", workers=2) as pool:
        assert pool.submit(os.getpid).result() != os.getpid()
"""


@pytest.mark.slow
def test_a_long_tmpdir_is_no_obstacle(tmp_path):
    """The name of a socket may have 107 bytes, and multiprocessing puts its own below TMPDIR."""
    long = tmp_path / ("a" * 60) / ("b" * 60)
    long.mkdir(parents=True)
    (script := tmp_path / "long.py").write_text(LONG_TMPDIR)
    subprocess.run([sys.executable, str(script)], check=True, env=os.environ | {"TMPDIR": str(long)})


def test_a_long_tmpdir_without_another_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("a" * 100)))
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UserError, match=r"TMPDIR .* is too long for the names of sockets: at most 70 bytes"):
        executors._short_socket_names()

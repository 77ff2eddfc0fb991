"""Training on several devices: one process per device (a rank), started for the training and ended with it.

What comes before and after (data, evaluation, records, locks) stays in the one process that starts the training, and is
the same as on one device. The ranks take their arguments from a file that they map into memory, so that all of them
share one copy of the data.
"""

import os
import socket
import threading
from collections.abc import Callable
from multiprocessing import parent_process
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

ARGUMENTS = "ranks.pt"


class RankFailed(RuntimeError):
    """A rank of a training has failed or was ended; the others were ended with it. What a checkpoint holds is kept."""


def on_ranks(train: Callable[..., object], devices: int, folder: Path, *arguments: Any) -> None:
    """Run `train(*arguments)` in one new process per device, all at once; Lightning joins them into one training.

    Args:
        train: A function of a module. Its Lightning trainer has `devices` devices and a distributed strategy.
        devices: How many processes.
        folder: Where the arguments are stored while the training runs.
        arguments: Anything that `torch.save` can write.

    Raises:
        RankFailed: A rank raised an error, which the message ends with, or was killed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ARGUMENTS
    torch.save(arguments, path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = (train, path, devices, port, torch.get_num_threads())
    try:
        start_processes(_rank, settings, nprocs=devices, start_method="spawn")  # type: ignore[no-untyped-call]
    except ProcessExitedException as error:
        raise RankFailed(
            f"rank {error.error_index} of {devices} ended without an answer ({error.signal_name or error.exit_code}): killed, or crashed"
        ) from error
    except ProcessRaisedException as error:
        last = str(error).strip().splitlines()[-1]
        raise RankFailed(f"rank {error.error_index} of {devices}: {last}") from error
    finally:
        path.unlink(missing_ok=True)


def _rank(rank: int, train: Callable[..., object], path: Path, devices: int, port: int, threads: int) -> None:
    """One of the processes: say who it is in the variables that Lightning reads, as torchrun does, and train."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.environ |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "NODE_RANK": "0",
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(devices),
        "OMP_NUM_THREADS": str(threads),
    }
    torch.set_num_threads(threads)
    train(*torch.load(path, weights_only=False, mmap=True))


def _end_with_parent() -> None:
    """A rank whose parent was killed would keep its device and write into a folder that a new run already uses."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

"""What one cell makes and others use: a trained network, made once, by whoever needs it first.

    folder = artefact("projects.smyrf.gan.training:train", config, ["cifar10"], source="package", root=root)

`train(config, folder)` leaves what it makes in `folder`. The folder's name is a hash of the function, its config, its code and its data, so
another setting makes another artefact, and an unfinished one is gone on with. Two processes never make the same one: the second waits.
All of `runs/artefacts` may be deleted at any time; what is needed is made again.
"""

import fcntl
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from regard_lab import data, files
from regard_lab.fingerprint import code_fingerprint
from regard_lab.project import load

FOLDER = Path("runs/artefacts")
DONE = "artefact.json"


def artefact(
    run: str, config: Any, data_sets: Sequence[str], *, source: str, root: Path, modules: Sequence[str] = ()
) -> Path:
    """The folder with what `run` (`module:function`) makes of `config` (a dataclass instance, all of which counts).

    `modules` names what the function reaches by name only (its mechanism), beside what it imports. An error of `run` is passed on, and leaves
    the folder as it was, to be gone on with.
    """
    module, _, name = run.partition(":")
    identity = {
        "run": run,
        "config": asdict(config),
        "code": code_fingerprint([module, *modules], root),
        "data": {data_set: data.expected_checksum(data_set, root, source) for data_set in data_sets},
    }
    mark = files.combined_sha256([repr(sorted(identity.items()))])[:16]
    folder = root / FOLDER / f"{name}-{mark}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / DONE).exists():
            make: Callable[[Any, Path], None] = load(run)
            make(config, folder)
            files.write_json(folder / DONE, identity)
    return folder

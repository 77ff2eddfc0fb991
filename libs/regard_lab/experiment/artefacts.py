"""Artefacts: what one cell makes and others use, such as a trained network. Each is made once, by the first cell to
need it.

    folder = artefact(train, config, ["cifar10"], source="package", root=root)

`train(config, folder)` leaves its result in `folder`, whose name is a hash of the function's code, its config and its
data: a different setting makes a different artefact, and an unfinished one is resumed. Two processes never make the
same artefact: the second waits. All of `runs/artefacts` may be deleted at any time; artefacts that are needed are made
again.
"""

import fcntl
import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from regard_lab import data
from regard_lab.common import files
from regard_lab.common.errors import UserError
from regard_lab.experiment.fingerprint import code_fingerprint
from regard_lab.training import kept

FOLDER = Path("runs/artefacts")
DONE = "artefact.json"


def artefact(
    make: Callable[[Any, Path], None],
    config: Any,
    data_sets: Sequence[str],
    *,
    source: str,
    root: Path,
    modules: Sequence[str] = (),
) -> Path:
    """The folder with what `make` makes from a config, made now if it is missing.

    Args:
        make: A module's function, `make(config, folder)`. If it raises, the folder stays as it is, so that the next
            call resumes it.
        config: A dataclass instance; all of it is part of the identity.
        data_sets: The data sets that are read.
        source: The kind of source that the data sets come from.
        root: The folder of the repository.
        modules: Modules that the function reaches only by name (its mechanism), besides the definitions that it names
            itself.
    """
    run = f"{make.__module__}:{make.__qualname__}"
    identity = {
        "config": asdict(config),
        "code": code_fingerprint([run, *modules], root),
        "data": {data_set: data.expected_checksum(data_set, root, source) for data_set in data_sets},
    }
    mark = files.combined_sha256([repr(sorted(identity.items()))])[:16]
    if (replay := kept.replaying()) is not None:
        return replay.artefact(mark, functools.partial(make, config))
    folder = root / FOLDER / f"{make.__name__}-{mark}"
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _complete(folder):
            make(config, folder)
            made = {path.name: files.sha256(path) for path in sorted(folder.iterdir()) if path.is_file()}
            files.write_json(folder / DONE, {"run": run, **identity, "files": made})
    kept.used(folder)
    return folder


def _complete(folder: Path) -> bool:
    """Does an artefact exist, and are its files unchanged? A damaged one is made again."""
    if not (folder / DONE).exists():
        return False
    try:
        made = files.read_json(folder / DONE).get("files", {})
        damaged = [name for name, checksum in made.items() if files.sha256(folder / name) != checksum]
    except (UserError, OSError, AttributeError) as error:
        damaged = [str(error)]
    if damaged:
        print(f"{folder.name} is damaged ({', '.join(damaged)}) and is made again", file=sys.stderr)
        (folder / DONE).unlink()
        return False
    return True

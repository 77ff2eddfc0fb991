"""Weights that are kept after a cell, and running a cell again on them without training.

    with keeping() as artefacts:                     # a run that leaves its weights
        run(config, folder)
    keep_weights(folder, artefacts, folder / "weights", "best")

    with replayed(folder / "weights", scratch):      # the same run on the same weights: `fit` trains nothing and gives what it gave
        run(config, scratch / "cell")

A cell trains with `fit`, in its own folder or in the folder of an artefact. `weights/` has a folder for each: `cell`,
and `artefact-0`, `artefact-1` … in the order in which the cell asked for them. Wherever a `fit` has left checkpoints,
such a folder has `best.safetensors`, `last.safetensors` and the `history.json` of its epochs; for an artefact that is
trained in another way (a generator) it has that artefact's own files.
"""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from regard_lab.common.errors import UserError
from regard_lab.common.files import read_json, write_json

Which = Literal["best", "last"]
SUFFIX, HISTORY = ".safetensors", "history.json"


class Offered(Exception):
    """Ends a replay that looks for one model, and carries that model."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model


@dataclass
class Replay:
    """A run on kept weights. `roots` are the folders in which it runs, each with its folder of weights; `wanted`: the model it looks for."""

    weights: Path
    scratch: Path
    wanted: str | None = None
    roots: dict[Path, Path] = field(default_factory=dict)
    artefacts: dict[str, Path] = field(default_factory=dict)
    missed: bool = False  # weights were asked for that were not kept

    def fitted(self, folder: Path) -> Path:
        """The folder of the weights that a `fit` in `folder` has left."""
        for root, weights in self.roots.items():
            if folder == root or root in folder.parents:
                path = weights / folder.relative_to(root)
                if (path / HISTORY).exists():
                    return path
        raise UserError(
            f"{self.weights} holds no weights of what this run trains: it comes from a different config or code"
        )

    def artefact(self, name: str, make: Callable[[Path], None]) -> Path:
        """An artefact's folder, made again from its weights: its files as they were kept, or `make` on the weights of its `fit`s."""
        if name not in self.artefacts:
            place = f"artefact-{len(self.artefacts)}"
            folder, weights = self.scratch / place, self.weights / place
            self.artefacts[name] = folder
            self.roots[folder] = weights
            folder.mkdir(parents=True)
            if weights.exists() and not any(weights.rglob(HISTORY)):
                _restore(weights, folder)
            else:
                make(folder)
        return self.artefacts[name]


_keeping: ContextVar[list[Path] | None] = ContextVar("keeping", default=None)
_replay: ContextVar[Replay | None] = ContextVar("replay", default=None)


@contextmanager
def keeping() -> Iterator[list[Path]]:
    """Within the block checkpoints stay; the value lists the folders of the artefacts that were used."""
    artefacts: list[Path] = []
    token = _keeping.set(artefacts)
    try:
        yield artefacts
    finally:
        _keeping.reset(token)


@contextmanager
def replayed(weights: Path, scratch: Path, wanted: str | None = None) -> Iterator[Replay]:
    """Within the block `fit` trains nothing.

    Args:
        weights: What `keep_weights` has written.
        scratch: An empty folder; the run's own is `scratch/cell`.
        wanted: A model's name, or "" for the first: the run ends with `Offered` as soon as it has that model.
    """
    replay = Replay(weights, scratch, wanted, {scratch / "cell": weights / "cell"})
    token = _replay.set(replay)
    try:
        yield replay
    finally:
        _replay.reset(token)


def replaying() -> Replay | None:
    """The replay in progress, if any."""
    return _replay.get()


def used(artefact: Path) -> None:
    """Note an artefact's folder, if weights are to be kept."""
    artefacts = _keeping.get()
    if artefacts is not None and artefact not in artefacts:
        artefacts.append(artefact)


def offer(model: nn.Module, name: str = "") -> None:
    """Announce that a model now has its trained weights: a replay that looks for it ends here."""
    replay = _replay.get()
    if replay is not None and replay.wanted is not None and replay.wanted in ("", name):
        raise Offered(model)


def discard_checkpoints(folder: Path) -> None:
    """Remove what only a resume needs, unless weights are to be kept."""
    if _keeping.get() is None:
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)


def keep_weights(cell: Path, artefacts: list[Path], to: Path, keep: Which) -> bool:
    """Write the weights that a cell and its artefacts have trained.

    Args:
        cell: The cell's folder.
        artefacts: The folders of the artefacts.
        to: The folder to write or replace.
        keep: `best` for the best epoch's weights and also the last one's, because some metrics need these; `last` for
            the last epoch's alone.

    Returns:
        Whether there were any: a cell that trains nothing has none, nor does an artefact that was trained without
        keeping them.
    """
    shutil.rmtree(to, ignore_errors=True)
    _keep(cell, to / "cell", keep)
    for number, artefact in enumerate(artefacts):
        place = to / f"artefact-{number}"
        if not _keep(artefact, place, keep):
            _store(artefact, place)
    return any(to.rglob(f"*{SUFFIX}"))


def _keep(folder: Path, to: Path, keep: Which) -> bool:
    """Keep the checkpoints of every `fit` below a folder; returns whether there were any."""
    checkpoints = sorted(folder.rglob("checkpoints/best.ckpt"))
    for path in checkpoints:
        place = to / path.parent.parent.relative_to(folder)
        place.mkdir(parents=True, exist_ok=True)
        for which in ("last",) if keep == "last" else ("best", "last"):
            checkpoint = torch.load(path.with_name(f"{which}.ckpt"), map_location="cpu", weights_only=False)
            write_weights(place / f"{which}{SUFFIX}", checkpoint["state_dict"])
            if which == "last":
                write_json(place / HISTORY, checkpoint["callbacks"]["History"]["epochs"])
    return bool(checkpoints)


def _store(folder: Path, to: Path) -> None:
    """Keep the files of an artefact that was trained in another way: dictionaries of tensors, and JSON."""
    states = {path: torch.load(path, map_location="cpu", weights_only=True) for path in sorted(folder.glob("*.pt"))}
    states = {path: state for path, state in states.items() if isinstance(state, dict)}
    if states:
        to.mkdir(parents=True)
        for path, state in states.items():
            write_weights(to / f"{path.name}{SUFFIX}", state)
        for path in folder.glob("*.json"):
            shutil.copy(path, to / path.name)


def _restore(weights: Path, folder: Path) -> None:
    """The files that `_store` kept, as they were."""
    for path in weights.iterdir():
        if path.suffix == SUFFIX:
            torch.save(read_weights(path), folder / path.stem)
        else:
            shutil.copy(path, folder / path.name)


def write_weights(path: Path, state: dict[str, Tensor]) -> None:
    """Write tensors by name as safetensors; tensors that share memory are written separately."""
    from safetensors.torch import save_file

    save_file({name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}, path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read what `write_weights` wrote."""
    from safetensors.torch import load_file

    return load_file(path)


def read_fit(replay: Replay, folder: Path, which: Which) -> dict[str, Tensor]:
    """The weights of a `fit` in `folder`: those asked for, or the others where they were not kept, which the replay remembers."""
    place = replay.fitted(folder)
    path = place / f"{which}{SUFFIX}"
    if not path.exists():
        replay.missed = True
        path = next(place.glob(f"*{SUFFIX}"))
    return read_weights(path)


def read_history(replay: Replay, folder: Path) -> list[dict[str, Any]]:
    """The epochs of a `fit` in `folder`."""
    epochs: list[dict[str, Any]] = read_json(replay.fitted(folder) / HISTORY)
    return epochs

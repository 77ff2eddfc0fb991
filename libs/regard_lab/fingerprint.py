"""Code fingerprints: what a result depends on, and nothing else.

The fingerprint of a cell is a hash of the modules that it really imports: the static import closure of its `run` function and of its mechanism,
each as a syntax tree without comments, docstrings and layout. Editing a comment changes nothing; editing a formula changes exactly
the cells that use it. Packages from outside are not followed (their versions stand in the cell's record).
"""

import ast
import functools
from collections.abc import Iterable
from pathlib import Path

from regard_lab.files import combined_sha256

# Where the code of this repository lives; anything else is a package from outside.
PACKAGES = {"regard": "libs/regard", "regard_lab": "libs/regard_lab", "projects": "projects"}

# Data come with a checksum of their own; how they were fetched, read and written is behind it.
NOT_FOLLOWED = "regard_lab.data"


def code_fingerprint(modules: Iterable[str], root: Path) -> str:
    """One hash for the modules named and everything of this repository that they import, directly or not."""
    return combined_sha256(f"{name} {digest}" for name, digest in module_hashes(modules, root).items())


def module_hashes(modules: Iterable[str], root: Path) -> dict[str, str]:
    """The hash of each module in the import closure, by name, sorted. An unknown module is an `ImportError`."""
    found: dict[str, str] = {}
    waiting = list(modules)
    for name in waiting:
        if _file_of(name, root) is None:
            raise ImportError(f"no module {name!r} below {root}")
    while waiting:
        name = waiting.pop()
        if name in found or f"{name}.".startswith(f"{NOT_FOLLOWED}.") or (path := _file_of(name, root)) is None:
            continue
        digest, imports = _read_module(path, path.stat().st_mtime_ns, name, path.name == "__init__.py")
        found[name] = digest
        waiting += imports
        waiting += (
            [name.rsplit(".", 1)[0]] if "." in name else []
        )  # importing a module runs its package's __init__ first
    return dict(sorted(found.items()))


def _file_of(name: str, root: Path) -> Path | None:
    first, *rest = name.split(".")
    if first not in PACKAGES:
        return None
    path = root.joinpath(PACKAGES[first], *rest)
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


@functools.cache
def _read_module(path: Path, _changed: int, name: str, is_package: bool) -> tuple[str, list[str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return combined_sha256([_shape(tree)]), list(_imports(tree, name if is_package else name.rpartition(".")[0]))


def _imports(tree: ast.Module, package: str) -> Iterable[str]:
    """Names that may be modules, also those imported inside functions; `_file_of` sorts out which are."""
    for node in _walk_run_time(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.rsplit(".", node.level - 1)[0] if node.level > 1 else package
                base = f"{parent}.{base}" if base else parent
            yield base
            for alias in node.names:
                yield f"{base}.{alias.name}"


def _walk_run_time(node: ast.AST) -> Iterable[ast.AST]:
    yield node
    # Neither runs when a module is imported: imports for the type checker, and the command at a module's end.
    if isinstance(node, ast.If) and any(word in ast.unparse(node.test) for word in ("TYPE_CHECKING", "__name__ ==")):
        children: Iterable[ast.AST] = node.orelse
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from _walk_run_time(child)


def _shape(node: object) -> str:
    """A syntax tree as text, without docstrings, positions and empty fields (so that it does not change with the version of Python)."""
    if isinstance(node, list):
        return f"[{','.join(map(_shape, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = []
    for name, value in ast.iter_fields(node):
        if name in ("type_comment", "kind") or value is None or value == []:
            continue
        if name == "body" and isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            value = value[1:] if ast.get_docstring(node, clean=False) is not None else value
        fields.append(f"{name}={_shape(value)}")
    return f"{type(node).__name__}({','.join(fields)})"

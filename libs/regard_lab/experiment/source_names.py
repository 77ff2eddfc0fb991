"""The meaning of names in this repository's source files, determined without importing them.

A name of a module is bound by its own statements, or imported: `resolve` follows a full path (`regard.build`) through
imports and re-exports, also those under `if TYPE_CHECKING:`, to the module that binds it. Anything from outside keeps
its path.
"""

import ast
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# Where the code of this repository lives; anything else is a package from outside.
PACKAGES = {"regard": "libs/regard", "regard_lab": "libs/regard_lab", "projects": "projects"}

# The name under which a reference means all of a module.
WHOLE = "*"


class Reference(NamedTuple):
    """A definition of this repository by module and name; `member` names one member of a class."""

    module: str
    name: str
    member: str = ""

    def __str__(self) -> str:
        return f"{self.module}:{self.name}" + (f".{self.member}" if self.member else "")


def file_of(name: str, root: Path) -> Path | None:
    """The file of a module of this repository, or `None` for anything else."""
    first, *rest = name.split(".")
    if first not in PACKAGES:
        return None
    path = root.joinpath(PACKAGES[first], *rest)
    return next((file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file()), None)


@dataclass(frozen=True)
class Names:
    """What the names of a module mean: statements of its own that bind them, or a path from outside it."""

    module: str
    root: Path
    bindings: dict[str, list[ast.stmt]]
    imported: dict[str, str]
    for_types: dict[str, str]
    effects: list[ast.stmt]
    registered: dict[str, str]


def names_of(module: str, root: Path) -> Names:
    """The names of a module of this repository; read again when its file has changed."""
    path = file_of(module, root)
    if path is None:
        raise LookupError(f"no module {module!r} below {root}")
    return _names(module, root, path, path.stat().st_mtime_ns)


@functools.cache
def _names(name: str, root: Path, path: Path, _changed: int) -> Names:
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    names = Names(name, root, {}, {}, {}, [], {})
    for statement in without_docstrings(tree.body):
        _file_statement(statement, names, package)
    return names


def _file_statement(statement: ast.stmt, names: Names, package: str) -> None:
    match statement:
        case ast.Import() | ast.ImportFrom():
            names.imported.update(import_paths(statement, package))
        case ast.If() if is_for_types(statement):
            for inner in ast.walk(ast.Module(statement.body, [])):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    names.for_types.update(import_paths(inner, package))
            for inner in statement.orelse:
                _file_statement(inner, names, package)
        case ast.If() if "__name__" in ast.unparse(statement.test):
            return
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            if any(called_name(one).rpartition(".")[2] == "overload" for one in statement.decorator_list):
                return
            names.bindings.setdefault(statement.name, []).append(statement)
            for one in statement.decorator_list:
                if isinstance(one, ast.Call) and one.args and isinstance(one.args[0], ast.Constant):
                    names.registered[str(one.args[0].value)] = statement.name
        case _:
            for inner in ast.walk(statement):
                if isinstance(inner, ast.Import | ast.ImportFrom):
                    names.imported.update(import_paths(inner, package))
            bound = bound_names([statement]) | (
                {changed} if (changed := _changes(statement)) in names.bindings else set()
            )
            for name in sorted(bound - names.imported.keys()):  # a set has a different order in every process
                names.bindings.setdefault(name, []).append(statement)
            binds = isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.If | ast.Try)
            if not (bound and (binds or changed in bound)) and not isinstance(statement, ast.Pass):
                names.effects.append(statement)


def _changes(statement: ast.stmt) -> str:
    """The name whose object a statement changes in place (`NAMES["a"] = 1`, `NAMES.append(1)`), or ''."""
    match statement:
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute() as target]):
            return _base(target)
        case ast.AugAssign(target=target):
            return _base(target)
        case ast.Expr(value=ast.Call(func=ast.Attribute() as target)):
            return _base(target)
    return ""


def _base(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def called_name(decorator: ast.expr) -> str:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)


def is_for_types(statement: ast.If) -> bool:
    return ast.unparse(statement.test).rpartition(".")[2] == "TYPE_CHECKING"


def import_paths(statement: ast.Import | ast.ImportFrom, package: str) -> Iterator[tuple[str, str]]:
    """Each name that an import binds, with the full path that it stands for."""
    if isinstance(statement, ast.Import):
        for alias in statement.names:
            yield (alias.asname, alias.name) if alias.asname else (alias.name.partition(".")[0],) * 2
        return
    base = statement.module or ""
    if statement.level:
        parent = package.rsplit(".", statement.level - 1)[0] if statement.level > 1 else package
        base = f"{parent}.{base}" if base else parent
    for alias in statement.names:
        yield alias.asname or alias.name, f"{base}.{alias.name}"


def imported_modules(names: Names, root: Path) -> Iterator[str]:
    """The modules of this repository that importing this one imports, its own packages among them."""
    paths = [names.module, *names.imported.values()]
    for path in paths:
        parts = path.split(".")
        for end in range(1, len(parts) + 1):
            module = ".".join(parts[:end])
            if module != names.module and file_of(module, root) is not None:
                yield module


def resolve(path: str, root: Path) -> Reference | str:
    """What a full path means: a definition, followed through re-exports; or the path of a module of this repository or of anything from outside."""
    seen = set()
    while path not in seen:
        seen.add(path)
        module, *rest = split_path(path, root)
        if not module or not rest:
            return path
        names = names_of(module, root)
        name, more = rest[0], "".join(f".{part}" for part in rest[1:])
        if name in names.bindings:
            return Reference(module, name) if not more else f"{Reference(module, name)}{more}"
        if (target := names.imported.get(name) or names.for_types.get(name)) is None:
            return path
        path = target + more
    return path


def split_path(path: str, root: Path) -> list[str]:
    """The longest module of this repository that a path begins with, and the names after it."""
    parts = path.split(".")
    for end in range(len(parts), 0, -1):
        if file_of(".".join(parts[:end]), root) is not None:
            return [".".join(parts[:end]), *parts[end:]]
    return ["", *parts]


def without_docstrings(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements that do something: without docstrings, including those that follow constants and fields."""
    return [one for one in body if not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))]


def bound_names(body: Iterable[ast.AST]) -> set[str]:
    """The names that statements bind in their own scope: assignments, loops, imports, definitions, handlers, patterns, walruses."""
    bound: set[str] = set()
    free: set[str] = set()

    def visit(node: ast.AST, in_comprehension: bool) -> None:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                bound.add(name)
                return
            case ast.Lambda():
                return
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                free.update(names)
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) if not in_comprehension:
                bound.add(name)
            case ast.NamedExpr(target=ast.Name(id=name)):
                bound.add(name)
            case ast.Import(names=aliases) | ast.ImportFrom(names=aliases):
                bound.update(alias.asname or alias.name.partition(".")[0] for alias in aliases)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                bound.add(name)
            case ast.MatchMapping(rest=str(name)):
                bound.add(name)
        inside = in_comprehension or isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    for node in body:
        visit(node, False)
    return bound - free


def parameter_names(args: ast.arguments) -> set[str]:
    several = [*args.posonlyargs, *args.args, *args.kwonlyargs]
    return {one.arg for one in [*several, *(extra for extra in (args.vararg, args.kwarg) if extra)]}


def walk_scope(body: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Every node of a function's own scope."""
    for node in body:
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            yield from walk_scope(ast.iter_child_nodes(node))

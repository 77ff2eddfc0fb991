"""Statements of a definition as tokens, in a form that only a change of meaning changes.

Other definitions of this repository appear as `Reference`s, names from outside with their full path, and local
variables as numbers. Whatever cannot change a result is left out; `regard_lab.experiment.definitions` says what that
is.
"""

import ast
import builtins
import re

from regard_lab.experiment.source_names import (
    WHOLE,
    Names,
    Reference,
    bound_names,
    called_name,
    file_of,
    import_paths,
    is_for_types,
    names_of,
    parameter_names,
    resolve,
    split_path,
    walk_scope,
    without_docstrings,
)

# Statements at the top of a module that talk or register, and compute nothing: what a resolver gives stands in the config.
SILENT = ("warnings.", "logging.", "omegaconf.OmegaConf.register_new_resolver")
SILENT_STATEMENT = "silent"

# Annotations that restrict a field's values without changing those that pass.
BOUNDED = {
    "pydantic.PositiveInt": "int",
    "pydantic.NonNegativeInt": "int",
    "pydantic.PositiveFloat": "float",
    "pydantic.NonNegativeFloat": "float",
}

Token = str | Reference


def keeps_annotations(cls: ast.ClassDef) -> bool:
    """Do this class's annotations say what it holds, as those of dataclasses, named and typed tuples do?"""
    words = [called_name(one) for one in cls.decorator_list] + [ast.unparse(base) for base in cls.bases]
    return any(word.rpartition(".")[2].partition("[")[0] in ("dataclass", "NamedTuple", "TypedDict") for word in words)


class _Scope:
    """The local names of a function or comprehension; a name is numbered when it is first met. `fixed` names (parameters) keep theirs."""

    def __init__(self, local: set[str], fixed: set[str] = frozenset(), imported: dict[str, str] | None = None) -> None:  # type: ignore[assignment]
        self.local, self.fixed = local - set(imported or {}), fixed
        self.imported = imported or {}
        self.numbers: dict[str, int] = {}


class TokenWriter:
    """Writes statements of one definition as tokens."""

    def __init__(self, names: Names, own: str, class_names: set[str] | None = None) -> None:
        self.names, self.own = names, own
        self.class_names = class_names or set()  # what the class's own body has bound; its functions do not see it
        self.tokens: list[Token] = []
        self.mentions: set[str] = set()
        self.scopes: list[_Scope] = []
        self.count = 0

    def statement(self, statement: ast.stmt, *, outermost: bool = False, annotated: bool = False) -> None:
        """One statement of a module's or a class's body. `outermost`: the names that it binds are the definition's own, and do not count."""
        match statement:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.function(statement, "" if outermost else statement.name)
            case ast.AnnAssign() if annotated:
                self.write("field", self.annotation(statement.annotation))
                self.nodes(statement.target, statement.value)
            case _ if outermost and (words := self.silent(statement)):
                self.write(words)
            case _:
                self.node(statement)

    def header(self, cls: ast.ClassDef) -> None:
        """The decorators, bases and keywords of a class."""
        self.write("class")
        self.nodes(*cls.decorator_list)
        self.write("(")
        self.nodes(*cls.bases, *cls.keywords)
        self.write(")")

    def write(self, *tokens: Token) -> None:
        self.tokens += tokens

    def nodes(self, *nodes: ast.AST | None) -> None:
        for node in nodes:
            if node is not None:
                self.node(node)

    def node(self, node: ast.AST) -> None:
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) if not self.scopes and name not in self.class_names:
                # In `FIRST, SECOND = 1, 2` each name must know which of the two values it gets.
                self.write("itself" if name == self.own else "another")
            case ast.Name():
                self.write(self.name(node.id))
            case ast.Attribute():
                self.attribute(node)
            case ast.Constant():
                self.constant(node.value)
            case ast.Raise():
                self.raised(node)
            case ast.Assert():
                self.write("assert")
                self.node(node.test)
            case ast.AnnAssign():
                if node.value is not None:  # an annotation alone binds nothing
                    self.write("Assign(")
                    self.nodes(node.target, node.value)
                    self.write(")")
            case ast.Assign():
                self.write("Assign(")
                self.nodes(*node.targets, node.value)
                self.write(")")
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self.write(self.name(node.name))
                self.function(node, "")
            case ast.Lambda():
                self.lambda_(node)
            case ast.ClassDef():
                self.inner_class(node)
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                self.comprehension(node)
            case ast.If() if is_for_types(node):
                self.nodes(*node.orelse)
            case ast.Import() | ast.ImportFrom():
                return  # what it binds appears with its path wherever it is used
            case ast.Expr(value=ast.Constant()):
                return
            case ast.Expr(value=ast.Call() as call) if self.full_path(call.func) == "warnings.warn":
                self.write("warn")
            case ast.Call(func=function, args=[_, value]) if self.full_path(function) == "typing.cast":
                self.node(value)
            case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar() | ast.MatchMapping():
                self.binding(node)
            case ast.Global() | ast.Nonlocal():
                return
            case _:
                self.fields(node)

    def fields(self, node: ast.AST, leave_out: tuple[str, ...] = ()) -> None:
        """A node as it is: its kind, then its fields in order; empty ones are left out, so that a new version of Python changes nothing."""
        self.write(f"{type(node).__name__}(")
        for label, value in ast.iter_fields(node):
            if label in ("ctx", "type_comment", "kind", "type_params", *leave_out) or value is None or value == []:
                continue
            self.write(f"{label}=")
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, ast.AST):
                    self.node(item)
                else:
                    self.write(repr(item))
                    if isinstance(item, str) and label != "arg":
                        self.mentions.add(item)
        self.write(")")

    def binding(self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar | ast.MatchMapping) -> None:
        """A node that binds a name as a plain string."""
        label = "rest" if isinstance(node, ast.MatchMapping) else "name"
        if (bound := getattr(node, label)) is not None:
            self.write(self.name(bound))
        self.fields(node, leave_out=(label,))

    def raised(self, node: ast.Raise) -> None:
        """A `raise` with the type of its error but without its message."""
        self.write("raise(")
        error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        self.nodes(error)
        self.write(")")

    def constant(self, value: object) -> None:
        if isinstance(value, str) and value.isidentifier():
            self.mentions.add(value)
        # "projects.cab.tasks.translation:train" is a name to be imported.
        named = re.fullmatch(r"(\w+(?:\.\w+)*):(\w+)", value) if isinstance(value, str) else None
        if named and file_of(named[1], self.names.root) is not None:
            self.write(self.target(f"{named[1]}.{named[2]}"))
        else:
            self.write(repr(value))

    # Functions and other scopes.

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, name: str) -> None:
        self.write(f"def {name}" if isinstance(node, ast.FunctionDef) else f"async def {name}")
        self.nodes(*node.decorator_list)
        self.arguments(node.args)
        body = without_docstrings(node.body)
        local = bound_names(body)
        imported: dict[str, str] = {}
        package = self.names.module if self.is_package() else self.names.module.rpartition(".")[0]
        for inner in walk_scope(body):
            if isinstance(inner, ast.Import | ast.ImportFrom):
                imported.update(import_paths(inner, package))
        with_class, self.class_names = self.class_names, set()
        self.scopes.append(_Scope(local, parameter_names(node.args), imported))
        self.write("{")
        self.nodes(*body)
        self.write("}")
        self.scopes.pop()
        self.class_names = with_class

    def lambda_(self, node: ast.Lambda) -> None:
        self.write("lambda")
        self.arguments(node.args)
        with_class, self.class_names = self.class_names, set()
        self.scopes.append(_Scope(bound_names([node.body]), parameter_names(node.args)))
        self.node(node.body)
        self.scopes.pop()
        self.class_names = with_class

    def arguments(self, args: ast.arguments) -> None:
        """Parameters with their names, by which they are passed, and their defaults."""
        self.write("(")
        positional = [*args.posonlyargs, *args.args]
        self.write(*(one.arg for one in positional), f"/{len(args.posonlyargs)}")
        self.nodes(*args.defaults)
        self.write("*", args.vararg.arg if args.vararg else "")
        for one, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
            self.write(one.arg)
            self.nodes(default)
        self.write("**", args.kwarg.arg if args.kwarg else "", ")")

    def comprehension(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> None:
        targets: set[str] = set()
        for generator in node.generators:
            targets |= {inner.id for inner in ast.walk(generator.target) if isinstance(inner, ast.Name)}
        self.scopes.append(_Scope(targets))
        self.write(f"{type(node).__name__}(")
        for generator in node.generators:
            self.fields(generator)
        self.nodes(*([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]))
        self.write(")")
        self.scopes.pop()

    def inner_class(self, node: ast.ClassDef) -> None:
        """A class inside a function or a class: all of it counts."""
        keeps = keeps_annotations(node)
        self.write(self.name(node.name))
        self.header(node)
        with_class, self.class_names = self.class_names, bound_names(node.body)
        for statement in without_docstrings(node.body):
            self.statement(statement, annotated=keeps)
        self.class_names = with_class

    # Names.

    def name(self, name: str) -> Token:
        """What a name stands for here: a local variable by its number, a definition, or a path from outside."""
        for scope in reversed(self.scopes):
            if name in scope.imported:
                return self.target(scope.imported[name])
            if name in scope.fixed:
                return f"parameter {name}"
            if name in scope.local:
                if name not in scope.numbers:
                    scope.numbers[name] = self.count
                    self.count += 1
                return f"local {scope.numbers[name]}"
        if name in self.class_names:
            self.mentions.add(name)
            return f"member {name}"
        return self.target(self.global_path(name))

    def global_path(self, name: str) -> str:
        if name in self.names.bindings:
            return f"{self.names.module}.{name}"
        if path := self.names.imported.get(name) or self.names.for_types.get(name):
            return path
        # `__file__` and the like are each module's own, and a name that nothing binds is an error when it is used.
        return f"builtins.{name}" if hasattr(builtins, name) else f"unknown.{name}"

    def target(self, path: str) -> Token:
        """What a path stands for; a module used as a value stands for everything in it."""
        target = resolve(path, self.names.root)
        if isinstance(target, Reference) or ":" in target:
            return target
        module, *rest = split_path(target, self.names.root)
        if module and rest:
            raise LookupError(
                f"{self.names.module} names {target}, which cannot be seen without running the code: bind it in {module},"
                " or import it there under `if TYPE_CHECKING:`"
            )
        return Reference(module, WHOLE) if module else target

    def attribute(self, node: ast.Attribute) -> None:
        """`a.b.c`: through modules to a definition or a path from outside; otherwise an attribute of whatever `a.b` is."""
        path = self.full_path(node)
        if path is None:
            self.node(node.value)
            self.write(f".{node.attr}")
            self.mentions.add(node.attr)
            return
        target = self.target(path)
        if isinstance(target, str) and ":" in target:  # an attribute of a definition
            definition, _, rest = target.partition(":")
            name, *attributes = rest.split(".")
            self.write(Reference(definition, name), *(f".{one}" for one in attributes))
            self.mentions.update(attributes)
        else:
            self.write(target)
            if isinstance(target, str):
                self.mentions.add(node.attr)

    def full_path(self, node: ast.expr) -> str | None:
        """The path of a chain of names that begins with a global one, or `None`."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return None
        for scope in reversed(self.scopes):
            if node.id in scope.imported:
                return ".".join([scope.imported[node.id], *reversed(parts)])
            if node.id in scope.fixed or node.id in scope.local:
                return None
        if node.id in self.class_names:
            return None
        return ".".join([self.global_path(node.id), *reversed(parts)])

    def path_of(self, node: ast.expr) -> Token:
        path = self.full_path(node)
        return "unknown" if path is None else self.target(path)

    def silent(self, statement: ast.stmt) -> str:
        """A word in place of a statement that only prints or registers something, '' for any other."""
        if isinstance(statement, ast.FunctionDef | ast.ClassDef | ast.Assign | ast.AnnAssign | ast.AugAssign):
            return ""
        calls = [self.called_path(node) for node in ast.walk(statement) if isinstance(node, ast.Call)]
        return SILENT_STATEMENT if calls and all(call.startswith(SILENT) for call in calls) else ""

    def called_path(self, call: ast.Call) -> str:
        """The path of what is called, or of what gives it: of `logging.getLogger("a").setLevel(1)` that of `logging.getLogger`."""
        function = call.func
        while isinstance(function, ast.Attribute) and isinstance(function.value, ast.Call):
            function = function.value.func
        return self.full_path(function) or ""

    def annotation(self, node: ast.expr) -> str:
        """The annotation of a field, in the form that says which values it takes: `Literal["a"]` takes words, `Annotated[int, …]` whole numbers."""
        match node:
            case ast.Constant(value=str(text)):
                return self.annotation(ast.parse(text, mode="eval").body)
            case ast.Subscript(value=value, slice=index) if ast.unparse(value).endswith("Annotated"):
                return self.annotation(index.elts[0] if isinstance(index, ast.Tuple) else index)
            case ast.Subscript(value=value, slice=index) if ast.unparse(value).endswith("Literal"):
                items = index.elts if isinstance(index, ast.Tuple) else [index]
                kinds = {type(item.value).__name__ for item in items if isinstance(item, ast.Constant)}
                return "|".join(sorted(kinds))
            case ast.Subscript(value=value, slice=index) if ast.unparse(value).endswith("Optional"):
                return f"{self.annotation(index)}|None"
            case ast.Subscript(value=value, slice=index):
                items = index.elts if isinstance(index, ast.Tuple) else [index]
                return f"{self.annotation(value)}[{','.join(map(self.annotation, items))}]"
            case ast.BinOp(left=left, op=ast.BitOr(), right=right):
                return f"{self.annotation(left)}|{self.annotation(right)}"
            case ast.Name() | ast.Attribute():
                target = self.path_of(node)
                if isinstance(target, str):
                    return BOUNDED.get(target, target.rpartition(".")[2])
                if (alias := self.alias(target)) is not None:
                    return alias
                self.write(target)
                return "another"
        return ast.unparse(node)

    def alias(self, target: Reference) -> str | None:
        """The annotation behind a name for a bounded one, as `Share = Annotated[float, …]`; `None` for any other definition."""
        names = names_of(target.module, self.names.root)
        match names.bindings.get(target.name):
            case [ast.Assign(value=ast.Subscript(value=kind) as value)] if ast.unparse(kind).endswith("Annotated"):
                return TokenWriter(names, target.name).annotation(value)
        return None

    def is_package(self) -> bool:
        path = file_of(self.names.module, self.names.root)
        return path is not None and path.name == "__init__.py"

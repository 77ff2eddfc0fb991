"""Code fingerprints: a hash of the definitions that a cell reaches, and of nothing else.

A cell reaches its `run` function, its config's schema and what it finds by name (its mechanism), and from these every
function, class and constant that they name, directly or indirectly. The hash of a definition is the hash of its text
(`regard_lab.experiment.definitions`) in which each name of another definition is replaced by that definition's hash. So
it depends on what a definition says and not on its name or location: a function may be renamed or moved to another
file, a message, a docstring or an annotation may change, and the fingerprint stays the same; changing a formula changes
the fingerprints of exactly those cells that use it.

A member of a class counts if the code that is reached mentions it by name, or if code from outside may call it; a name
that is computed at run time (`getattr(layer, f"{kind}_scale")`) is not seen, so write it out. Statements that run when
a module is imported count for every module that is imported on the way. Packages from outside are named and not
followed (a record has their versions).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from regard_lab.common.files import combined_sha256
from regard_lab.experiment.definitions import Definition, read_module
from regard_lab.experiment.source_names import WHOLE, Reference, file_of, resolve
from regard_lab.experiment.token_writer import Token

# Modules that only look things up. Data have a checksum of their own, which covers how a set is fetched, read and
# written. An artefact's name says what made it, by a fingerprint too. And what the registry has under a name is a root
# of its own.
NOT_FOLLOWED = (
    "regard.registry",
    "regard_lab.experiment.artefacts",
    "regard_lab.data",
    "regard_lab.data.hub",
    "regard_lab.data.packages",
)


@dataclass(frozen=True)
class Reached:
    """The definitions that some roots reach, each with the definitions that it names."""

    roots: tuple[Reference, ...]
    texts: dict[Reference, tuple[Token, ...]]


def code_fingerprint(roots: Iterable[str], root: Path) -> str:
    """One hash for the definitions named and all that they reach.

    Args:
        roots: `module:name`; `module@name` for what a decorator registers under that name in a module or package; or a
            module, for all of it. A module that registers something under its own name (`regard.mechanisms.smyrf`)
            stands for that.
        root: The folder of the repository.

    Raises:
        LookupError: A root names nothing.
    """
    reached = reach(roots, root)
    hashes = _hashes(reached.texts)
    effects = sorted(hashes[node] for node in reached.texts if node.name.startswith("effect "))
    return combined_sha256([*(hashes[node] for node in reached.roots), *effects])


def definition_hashes(roots: Iterable[str], root: Path) -> dict[str, dict[str, str]]:
    """A short hash of each definition that is reached, by module and name, to show where two fingerprints differ.

    It covers only the definition's own text, not the definitions that it names, so a change shows up where it was made.
    """
    hashes: dict[str, dict[str, str]] = {}
    by_definition: dict[tuple[str, str], list[str]] = {}
    for node, text in reach(roots, root).texts.items():
        by_definition.setdefault((node.module, node.name), []).append(f"{node.member} {own_text(text)}")
    for (module, name), texts in sorted(by_definition.items()):
        hashes.setdefault(module, {})[name] = combined_sha256(sorted(texts))[:8]
    return hashes


def own_text(text: Iterable[Token]) -> str:
    """A definition's text without the definitions that it names."""
    return " ".join("·" if isinstance(token, Reference) else token for token in text)


def reach(roots: Iterable[str], root: Path) -> Reached:
    """Everything that the roots reach."""
    walk = _Walk(root)
    named = [find(one, root) for one in roots]
    for node in named:
        walk.add(node)
    walk.follow()
    return Reached(tuple(named), walk.texts())


def find(reference: str, root: Path) -> Reference:
    """The definition that a root names, see `code_fingerprint`."""
    if "@" in reference:
        module, _, name = reference.partition("@")
        if registered := _registered(module, name, root):
            return registered
        raise LookupError(f"nothing in {module} is registered as {name!r}")
    module, colon, name = reference.partition(":")
    if not colon:
        return _registered(module, module.rpartition(".")[2], root) or Reference(module, WHOLE)
    target = resolve(f"{module}.{name}", root)
    if not isinstance(target, Reference):
        raise LookupError(f"module {module} defines no {name!r}")
    return target


def _registered(module: str, name: str, root: Path) -> Reference | None:
    """What a decorator registers under `name` in a module, or in a package or a module directly inside."""
    if (path := file_of(module, root)) is None:
        raise LookupError(f"no module {module!r} below {root}")
    inside = sorted(path.parent.glob("*.py")) if path.name == "__init__.py" else []
    for candidate in [module, *(f"{module}.{one.stem}" for one in inside if one.name != "__init__.py")]:
        source = read_module(candidate, root)
        if source and name in source.registered:
            return Reference(candidate, source.registered[name])
    return None


class _Walk:
    """Definitions and members reached so far. A member waits until its name is mentioned anywhere."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.definitions: dict[Reference, Definition] = {}
        self.members: dict[Reference, list[str]] = {}  # the members of a class that count so far
        self.waiting: dict[str, list[Reference]] = {}  # by name, classes whose member of that name is not yet mentioned
        self.mentions: set[str] = set()
        self.modules: set[str] = set()
        self.to_do: list[Definition] = []

    def add(self, node: Reference) -> None:
        """A definition that is named somewhere."""
        if node in self.definitions or _not_followed(node.module):
            return
        source = read_module(node.module, self.root)
        if source is None:
            raise LookupError(f"no module {node.module!r} below {self.root}")
        self._import(node.module)
        if node.name == WHOLE:
            whole = tuple(Reference(node.module, name) for name in source.definitions)
            self._take(node, Definition(whole, frozenset()))
        elif node.name in source.definitions:
            self._take(node, source.definitions[node.name])
        else:
            raise LookupError(f"module {node.module} defines no {node.name!r}")

    def follow(self) -> None:
        """Work until nothing new is reached."""
        while self.to_do:
            definition = self.to_do.pop()
            for token in definition.tokens:
                if isinstance(token, Reference):
                    self.add(token)
            for name in definition.mentions - self.mentions:
                self.mentions.add(name)
                for cls in self.waiting.pop(name, ()):
                    self._count(cls, name)

    def texts(self) -> dict[Reference, tuple[Token, ...]]:
        """Each definition's tokens; those of a class end with its members that count, in their order."""
        texts: dict[Reference, tuple[Token, ...]] = {}
        for node, definition in self.definitions.items():
            counted = [name for name in definition.members if name in self.members.get(node, ())]
            inside = [node._replace(member=name) for name in counted]
            texts[node] = (*definition.tokens, *(part for one in inside for part in (one.member, one)))
            texts |= {one: definition.members[one.member].tokens for one in inside}
        return texts

    def _take(self, node: Reference, definition: Definition) -> None:
        self.definitions[node] = definition
        self.members[node] = []
        self.to_do.append(definition)
        hooks = self._hooks(node, definition)
        for name in definition.members:
            called = hooks is None or name in hooks or (name.startswith("__") and name.endswith("__"))
            if called or name in self.mentions:
                self._count(node, name)
            else:
                self.waiting.setdefault(name, []).append(node)

    def _count(self, cls: Reference, name: str) -> None:
        self.members[cls].append(name)
        self.to_do.append(self.definitions[cls].members[name])

    def _hooks(self, node: Reference, definition: Definition) -> frozenset[str] | None:
        """The names that code from outside may call on a class, including those of its bases; `None` means any."""
        hooks = definition.hooks
        for base in definition.bases:
            self.add(base)
            inherited = self._hooks(base, self.definitions[base]) if base in self.definitions else None
            hooks = None if hooks is None or inherited is None else hooks | inherited
        return hooks

    def _import(self, module: str) -> None:
        """Importing a module runs its statements, and those of every module that it imports."""
        if module in self.modules or _not_followed(module):
            return
        self.modules.add(module)
        source = read_module(module, self.root)
        assert source is not None
        for index, effect in enumerate(source.effects):
            self._take(Reference(module, f"effect {index}"), effect)
        for imported in source.imports:
            self._import(imported)


def _not_followed(module: str) -> bool:
    return module in NOT_FOLLOWED


def _hashes(texts: dict[Reference, tuple[Token, ...]]) -> dict[Reference, str]:
    """The hash of each text with the hashes of the definitions that it names. Definitions that name each other in a
    circle are hashed in rounds, as many as there are: then each has seen all of the circle."""
    hashes: dict[Reference, str] = {}
    for circle in _circles(texts):
        inside = dict.fromkeys(circle, "the circle itself")
        for _ in circle:
            known = hashes | inside
            inside = {node: combined_sha256(_hash_text(token, known) for token in texts[node]) for node in circle}
        hashes |= inside
    return hashes


def _hash_text(token: Token, known: Mapping[Reference, str]) -> str:
    return known.get(token, f"not followed: {token.name}") if isinstance(token, Reference) else token


def _circles(texts: dict[Reference, tuple[Token, ...]]) -> list[list[Reference]]:
    """The strongly connected components, each after those that it names (Tarjan 1972, without recursion)."""
    components: list[list[Reference]] = []
    index: dict[Reference, int] = {}
    low: dict[Reference, int] = {}
    stack: list[Reference] = []
    on_stack: set[Reference] = set()
    for start in texts:
        if start in index:
            continue
        work = [(start, iter(_named(texts, start)))]
        index[start] = low[start] = len(index)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, following = work[-1]
            for other in following:
                if other not in index:
                    index[other] = low[other] = len(index)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(_named(texts, other))))
                    break
                if other in on_stack:
                    low[node] = min(low[node], index[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    position = stack.index(node)
                    circle, stack[position:] = stack[position:], []
                    on_stack -= set(circle)
                    components.append(circle)
    return components


def _named(texts: dict[Reference, tuple[Token, ...]], node: Reference) -> list[Reference]:
    return [token for token in texts[node] if isinstance(token, Reference) and token in texts]

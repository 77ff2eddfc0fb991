"""A fingerprint changes with what the definitions reached say, and with nothing else."""

import shutil
from pathlib import Path

import pytest

from regard_lab.experiment.fingerprint import code_fingerprint, definition_hashes, find, reach

A = '''"""Docstring."""
import math
from dataclasses import dataclass
from typing import cast

from regard.tools import FACTORS, checked, scaled

FIRST, SECOND = 1, 2
TABLE = {"a": 1}
TABLE["b"] = 2


@dataclass
class Settings:
    """Docstring."""
    width: int = 3


class Layer:
    """Docstring."""
    unused = 5

    def forward(self, x: float) -> float:
        """Docstring."""
        # comment
        total = 0.0
        for part in [part * 2 for part in range(3)]:
            total += part
        if total < 0:
            raise ValueError(f"below zero, got {total}")
        return cast(float, total + scaled(x))

    def cost(self):
        return 7


def run(config, folder):
    layer = Layer()
    return layer.forward(math.sqrt(FIRST)) + TABLE["a"] * Settings().width


def other():
    return SECOND
'''
TOOLS = """FACTORS = (2, 3)


def checked(x):
    assert x >= 0, "below zero"
    return x


def scaled(x):
    return checked(x) * FACTORS[0]


def shown(x):
    return str(x)
"""
RUN = ["projects.a:run"]


@pytest.fixture
def root(tmp_path):
    write(
        tmp_path,
        {"libs/regard/__init__.py": "", "libs/regard/tools.py": TOOLS, "projects/__init__.py": "", "projects/a.py": A},
    )
    return tmp_path


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def differs(root: Path, *edits: tuple[str, str, str], roots: list[str] = RUN) -> bool:
    before = code_fingerprint(roots, root)
    for file, old, new in edits:
        change(root / file, old, new)
    return code_fingerprint(roots, root) != before


def test_what_is_reached_is_what_is_named(root):
    assert {str(node) for node in reach(RUN, root).texts} == {
        "projects.a:run",
        "projects.a:Layer",
        "projects.a:Layer.forward",
        "projects.a:FIRST",
        "projects.a:TABLE",
        "projects.a:Settings",
        "projects.a:Settings.width",
        "regard.tools:scaled",
        "regard.tools:checked",
        "regard.tools:FACTORS",
    }


PYDANTIC = "from pydantic import PositiveInt\n"
EVEN = "from typing import Annotated\nfrom pydantic import Field\nEven = Annotated[int, Field(multiple_of=2)]\n"
PROJECT, LIBRARY = "projects/a.py", "libs/regard/tools.py"


@pytest.mark.parametrize(
    "edits",
    [
        [(PROJECT, "# comment", "# another comment")],
        [(PROJECT, '"""Docstring."""', '"""Other words."""')],
        [(LIBRARY, "FACTORS =", '"""What the next line holds."""\nFACTORS =')],
        [(PROJECT, "total + scaled(x)", "(total\n            + scaled(x))")],
        [(PROJECT, 'f"below zero, got {total}"', 'f"{total} is below {other()}"')],
        [(LIBRARY, '"below zero"', '"less than zero"')],
        [(PROJECT, "x: float) -> float", "x: int) -> object")],
        [(PROJECT, "total = 0.0", "total: float = 0.0")],
        [(PROJECT, "cast(float, total + scaled(x))", "total + scaled(x)")],
        [(PROJECT, "total", "the_sum"), (PROJECT, "part * 2 for part in", "one * 2 for one in")],
        [(PROJECT, "import math\n", "import math as maths\n"), (PROJECT, "math.sqrt", "maths.sqrt")],
        [(PROJECT, "FIRST", "ONE"), (PROJECT, "Layer", "Block"), (PROJECT, "run(", "train(")],
        [(LIBRARY, "scaled", "multiplied"), (PROJECT, "scaled", "multiplied")],
        [(PROJECT, "unused = 5", "unused = 6"), (PROJECT, "return 7", "return 8")],
        [(PROJECT, "return SECOND", "return FIRST"), (LIBRARY, "return str(x)", "return repr(x)")],
        [(PROJECT, "import math\n", "import math\nimport warnings\n\nwarnings.filterwarnings('ignore')\n")],
        [(PROJECT, "def run(", "@overload\ndef run(config: int) -> int: ...\ndef run(")],
        [(PROJECT, "width: int = 3", "width: PositiveInt = 3"), (PROJECT, "import math\n", f"import math\n{PYDANTIC}")],
        [(PROJECT, "width: int = 3", "width: Even = 3"), (PROJECT, "\n\n@dataclass", f"\n{EVEN}\n\n@dataclass")],
    ],
)
def test_what_cannot_change_a_number_does_not_count(root, edits):
    roots = ["projects.a:train"] if any("train(" in new for _, _, new in edits) else RUN
    before = code_fingerprint(RUN, root)
    for file, old, new in edits:
        change(root / file, old, new)
    assert code_fingerprint(roots, root) == before


@pytest.mark.parametrize(
    "edits",
    [
        [(PROJECT, "part * 2", "part * 3")],
        [(PROJECT, "range(3)", "range(4)")],
        [(PROJECT, "total < 0", "total <= 0")],
        [(PROJECT, "raise ValueError", "raise TypeError")],
        [(PROJECT, "math.sqrt", "math.exp")],
        [(PROJECT, "sqrt(FIRST)", "sqrt(SECOND)")],
        [(PROJECT, "FIRST, SECOND = 1, 2", "FIRST, SECOND = 2, 1")],
        [(PROJECT, 'TABLE["b"] = 2', 'TABLE["b"] = 3')],
        [(PROJECT, "width: int = 3", "width: int = 4")],
        [(PROJECT, "width: int = 3", "width: float = 3")],
        [(PROJECT, "total += part", "total = part")],
        [(LIBRARY, "FACTORS = (2, 3)", "FACTORS = (2, 4)")],
        [(LIBRARY, "assert x >= 0", "assert x > 0")],
        [(LIBRARY, "checked(x) * FACTORS[0]", "x * FACTORS[0]")],
        [(PROJECT, "import math\n", "import math\n\nmath.tau = 3\n")],
        [(PROJECT, "return layer.forward(", "return layer.cost() + layer.forward(")],
    ],
)
def test_what_can_change_a_number_counts(root, edits):
    assert differs(root, *edits)


def test_a_definition_may_move_to_another_file(root):
    before = code_fingerprint(RUN, root)
    body = TOOLS[TOOLS.index("def scaled") : TOOLS.index("def shown")]
    change(root / LIBRARY, body, "")
    write(
        root,
        {
            "libs/regard/deeper/__init__.py": "",
            "libs/regard/deeper/scales.py": "from regard.tools import FACTORS, checked\n\n" + body,
        },
    )
    change(
        root / PROJECT, "from regard.tools import FACTORS, checked, scaled", "from regard.deeper.scales import scaled"
    )
    assert code_fingerprint(RUN, root) == before
    change(root / "libs/regard/deeper/scales.py", "FACTORS[0]", "FACTORS[1]")
    assert code_fingerprint(RUN, root) != before


def test_two_names_of_one_statement_are_told_apart(root):
    """By content alone `FIRST, SECOND = 1, 2` would be the same definition twice."""
    hashes = {code_fingerprint([f"projects.a:{name}"], root) for name in ("FIRST", "SECOND")}
    assert len(hashes) == 2


def test_definitions_in_a_circle(root):
    even = "def even(n):\n    return n == 0 or odd(n - 1)\n\n\ndef odd(n):\n    return n != 0 and even(n - 1)\n"
    write(root, {"projects/b.py": even})
    before = code_fingerprint(["projects.b:even"], root)
    assert before != code_fingerprint(["projects.b:odd"], root)
    change(root / "projects/b.py", "even", "straight")
    assert code_fingerprint(["projects.b:straight"], root) == before
    change(root / "projects/b.py", "n != 0 and", "n != 1 and")
    assert code_fingerprint(["projects.b:straight"], root) != before


@pytest.mark.parametrize(
    ("text", "reached"),
    [
        ("from regard import tools\ndef f():\n    return tools.shown(1)\n", True),
        ("import regard.tools\ndef f():\n    return regard.tools.shown(1)\n", True),
        ("import regard.tools as t\ndef f():\n    return t.shown(1)\n", True),
        ("def f():\n    from regard.tools import shown as s\n    return s(1)\n", True),
        ("from .c import shown\ndef f():\n    return shown(1)\n", True),
        ("from regard import tools\ndef f():\n    return go(tools)\n", True),
        ('def f():\n    return load("regard.tools:shown")\n', True),
        ("from regard.tools import shown\ndef f():\n    return 1\n", False),
        ("from regard.tools import shown\ndef f(shown):\n    return shown(1)\n", False),
        ("from regard.tools import shown\ndef f(x: shown) -> shown:\n    return x\n", False),
        (
            "import typing\nif typing.TYPE_CHECKING:\n    from regard.tools import shown\ndef f(x: shown): return x\n",
            False,
        ),
    ],
)
def test_ways_to_name_a_definition(root, text, reached):
    write(root, {"projects/b.py": text, "projects/c.py": "from regard.tools import shown\n"})
    assert ("regard.tools:shown" in {str(node) for node in reach(["projects.b:f"], root).texts}) == reached


def test_a_lazy_name_is_found_through_its_import_for_the_type_checker(root):
    write(
        root,
        {
            "libs/regard/__init__.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from regard.tools import shown\n"
        },
    )
    write(root, {"projects/b.py": "import regard\ndef f(): return regard.shown(1)\n"})
    assert differs(root, (LIBRARY, "str(x)", "repr(x)"), roots=["projects.b:f"])
    change(root / "projects/b.py", "regard.shown", "regard.hidden")
    with pytest.raises(LookupError, match=r"regard\.hidden, which cannot be seen without running the code"):
        code_fingerprint(["projects.b:f"], root)


CLASSES = """
from torch import nn
from somewhere import Framework


class Base(nn.Module):
    cheap = True

    def forward(self, x):
        return self.mix(x)

    def mix(self, x):
        raise NotImplementedError("mix")

    def extra_repr(self):
        return "base"

    def count(self):
        return 1


class Layer(Base):
    def mix(self, x):
        return x + 1

    def _helper(self):
        return 2


class Task(Framework):
    def on_step(self):
        return 3


def run(layer, task):
    return Layer(), Task()
"""


@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        ("return x + 1", "return x + 2", True),
        ('return "base"', 'return "other"', True),  # torch may call it
        ("return 3", "return 4", True),  # whatever Framework is may call it
        ("return 2", "return 3", False),
        ("return 1", "return 2", False),
        ("cheap = True", "cheap = False", False),
        ("cheap = True", "cheap, dear = True, False", True),
    ],
)
def test_which_members_of_a_class_count(root, old, new, counts):
    write(root, {"projects/b.py": CLASSES})
    assert differs(root, ("projects/b.py", old, new), roots=["projects.b:run"]) == counts


def test_a_member_counts_as_soon_as_anything_mentions_it(root):
    write(root, {"projects/b.py": CLASSES})
    change(root / "projects/b.py", "return Layer(), Task()", "return layer.count()")
    assert not differs(root, ("projects/b.py", "return 1", "return 9"), roots=["projects.b:run"])  # no class is reached
    change(root / "projects/b.py", "return layer.count()", "return Layer().count()")
    assert differs(root, ("projects/b.py", "return 9", "return 1"), roots=["projects.b:run"])


def test_what_is_registered_is_found_by_its_name(root):
    text = '@mechanism("{}", patterns=())\nclass {}:\n    pass\n\n\nVALUE = 1\n'
    write(root, {"libs/regard/one.py": text.format("one", "One"), "libs/regard/two/__init__.py": ""})
    write(root, {"libs/regard/two/layer.py": text.format("two", "Two")})
    assert str(find("regard.one", root)) == "regard.one:One"
    assert str(find("regard.two", root)) == "regard.two.layer:Two"
    assert str(find("regard.two@two", root)) == "regard.two.layer:Two"
    assert str(find("regard.tools", root)) == "regard.tools:*"
    with pytest.raises(LookupError, match=r"nothing in regard\.two is registered as 'three'"):
        find("regard.two@three", root)


def test_statements_that_run_on_import_count_for_whoever_imports(root):
    write(root, {"projects/b.py": "from regard import tools\nimport regard.tools\ndef f(): return 1\n"})
    assert differs(root, (LIBRARY, "def shown", "print(FACTORS)\n\n\ndef shown"), roots=["projects.b:f"])
    assert differs(root, (LIBRARY, "FACTORS = (2, 3)", "FACTORS = (2, 5)"), roots=["projects.b:f"])


def test_data_are_behind_their_checksums(root):
    write(root, {"libs/regard_lab/__init__.py": "", "libs/regard_lab/data/__init__.py": "def load(name): return 1\n"})
    write(root, {"libs/regard_lab/data/subsets.py": "def drawn(rows): return rows\n"})
    write(
        root,
        {
            "projects/b.py": "from regard_lab import data\nfrom regard_lab.data.subsets import drawn\ndef f(): return drawn(data.load('a'))\n"
        },
    )
    assert not differs(root, ("libs/regard_lab/data/__init__.py", "return 1", "return 2"), roots=["projects.b:f"])
    assert differs(root, ("libs/regard_lab/data/subsets.py", "return rows", "return rows[1:]"), roots=["projects.b:f"])


@pytest.mark.parametrize("name", ["projects.nowhere", "projects.nowhere:run", "projects.a:nothing"])
def test_an_unknown_root_is_an_error(root, name):
    with pytest.raises(LookupError, match="projects"):
        code_fingerprint([name], root)


def test_the_hashes_of_definitions_say_what_changed(root):
    before = definition_hashes(RUN, root)
    change(root / LIBRARY, "checked(x) * FACTORS[0]", "checked(x) / FACTORS[0]")
    now = definition_hashes(RUN, root)
    changed = [(module, name) for module in now for name in now[module] if before[module][name] != now[module][name]]
    assert changed == [("regard.tools", "scaled")]


# This repository's own code.

CELL = [
    "projects.better_attention.tasks.classification:train",
    "projects.better_attention.config:Config",
    "regard.mechanisms.efficient",
]


@pytest.fixture(scope="module")
def house(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("house")
    for folder in ("libs", "projects"):
        shutil.copytree(
            request.config.rootpath / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "*.yaml")
        )
    return root


def test_a_word_in_an_error_message_leaves_every_result_alone(house):
    before = code_fingerprint(CELL, house)
    change(house / "libs/regard/common/checks.py", "must be on one device, got", "must all be on one device, got")
    assert code_fingerprint(CELL, house) == before
    change(
        house / "libs/regard/mechanisms/softmax.py",
        "F.scaled_dot_product_attention(q",
        "F.scaled_dot_product_attention(k",
    )
    assert code_fingerprint(CELL, house) != before


def test_mechanisms_do_not_know_each_other(house):
    """What makes "exactly the tables that use it" true in this repository: a cell of one mechanism does not reach another's code."""
    modules = {node.module for node in reach(CELL, house).texts}
    assert {name for name in modules if name.startswith("regard.mechanisms.")} == {
        "regard.mechanisms.efficient",
        "regard.mechanisms.softmax",
    }
    assert not {
        name
        for name in modules
        if name.startswith(("regard_lab.report", "regard_lab.reproduce", "regard_lab.experiment.cells"))
    }

"""Definitions change with what they say, and with nothing else."""

import pytest

from regard_lab.experiment.fingerprint import code_fingerprint
from tests.editing import change
from tests.regard_lab.experiment.small_repository import LIBRARY, PROJECT, RUN, differs, write, write_repository


@pytest.fixture
def root(tmp_path):
    return write_repository(tmp_path)


PYDANTIC = "from pydantic import PositiveInt\n"


EVEN = "from typing import Annotated\nfrom pydantic import Field\nEven = Annotated[int, Field(multiple_of=2)]\n"


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


def test_two_names_of_one_statement_are_told_apart(root):
    """By content alone `FIRST, SECOND = 1, 2` would be the same definition twice."""
    hashes = {code_fingerprint([f"projects.a:{name}"], root) for name in ("FIRST", "SECOND")}
    assert len(hashes) == 2


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


def test_statements_that_run_on_import_count_for_whoever_imports(root):
    write(root, {"projects/b.py": "from regard import tools\nimport regard.tools\ndef f(): return 1\n"})
    assert differs(root, (LIBRARY, "def shown", "print(FACTORS)\n\n\ndef shown"), roots=["projects.b:f"])
    assert differs(root, (LIBRARY, "FACTORS = (2, 3)", "FACTORS = (2, 5)"), roots=["projects.b:f"])

"""Tokens of a definition change with what it says, and with nothing else."""

import pytest

from regard_lab.experiment.fingerprint import code_fingerprint
from tests.editing import change
from tests.regard_lab.experiment.small_repository import LIBRARY, PROJECT, RUN, differs, write_repository


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

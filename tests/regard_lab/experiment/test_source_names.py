"""What names stand for, told without importing anything."""

import pytest

from regard_lab.experiment.fingerprint import code_fingerprint, reach
from tests.editing import change
from tests.regard_lab.experiment.small_repository import LIBRARY, differs, write, write_repository


@pytest.fixture
def root(tmp_path):
    return write_repository(tmp_path)


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

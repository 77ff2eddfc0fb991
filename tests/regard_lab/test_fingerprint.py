"""A fingerprint changes with the code that is really imported, and with nothing else."""

from pathlib import Path

import pytest

from regard_lab.fingerprint import code_fingerprint, module_hashes

SOURCE = '''"""Docstring."""
import math
from regard.patterns import is_causal

class A:
    """Docstring."""
    def f(self, x):
        """Docstring."""
        # comment
        return x + 1
'''


@pytest.fixture
def root(tmp_path):
    library = tmp_path / "libs" / "regard"
    library.mkdir(parents=True)
    (library / "__init__.py").write_text("")
    (library / "patterns.py").write_text("def is_causal(): return 1\n")
    (library / "unused.py").write_text("x = 1\n")
    project = tmp_path / "projects"
    project.mkdir()
    (project / "__init__.py").write_text("")
    (project / "a.py").write_text(SOURCE)
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_closure_is_what_is_imported(root):
    assert set(module_hashes(["projects.a"], root)) == {"projects", "projects.a", "regard", "regard.patterns"}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# comment", "# another comment"),
        ('"""Docstring."""', '"""Other words."""'),
        ("x + 1", "(x\n            + 1)"),
        ("import math\n", "import math\n\n\n"),
    ],
)
def test_comments_docstrings_and_layout_do_not_count(root, old, new):
    before = code_fingerprint(["projects.a"], root)
    change(root / "projects" / "a.py", old, new)
    assert code_fingerprint(["projects.a"], root) == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("projects/a.py", "x + 1", "x + 2"),
        ("projects/a.py", "x + 1", "x - 1"),
        ("projects/a.py", "import math", "import cmath"),
        ("libs/regard/patterns.py", "return 1", "return 2"),
    ],
)
def test_code_counts_also_that_of_an_import(root, file, old, new):
    before = code_fingerprint(["projects.a"], root)
    change(root / file, old, new)
    assert code_fingerprint(["projects.a"], root) != before


def test_what_is_not_imported_does_not_count(root):
    before = code_fingerprint(["projects.a"], root)
    change(root / "libs/regard/unused.py", "x = 1", "x = 2")
    assert code_fingerprint(["projects.a"], root) == before


@pytest.mark.parametrize(
    ("statement", "counts"),
    [
        ("from regard import unused", True),
        ("import regard.unused", True),
        ("def g():\n    from regard.unused import x", True),
        ("if TYPE_CHECKING:\n    import regard.unused", False),
        ("if typing.TYPE_CHECKING:\n    pass\nelse:\n    import regard.unused", True),
        ("if __name__ == '__main__':\n    import regard.unused", False),
    ],
)
def test_which_imports_are_followed(root, statement, counts):
    (root / "projects" / "b.py").write_text(statement + "\n")
    assert ("regard.unused" in module_hashes(["projects.b"], root)) == counts


@pytest.mark.parametrize(
    ("statement", "found"),
    [("from . import b", "projects.p.b"), ("from .b import y", "projects.p.b"), ("from .. import a", "projects.a")],
)
def test_relative_imports(root, statement, found):
    package = root / "projects" / "p"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "b.py").write_text("y = 1\n")
    (package / "c.py").write_text(statement + "\n")
    assert found in module_hashes(["projects.p.c"], root)


def test_data_modules_are_behind_their_checksums(root):
    lab = root / "libs" / "regard_lab" / "data"
    lab.mkdir(parents=True)
    for path in (lab.parent / "__init__.py", lab / "__init__.py"):
        path.write_text("")
    (root / "projects" / "b.py").write_text("from regard_lab import data\nfrom regard_lab.data import x\n")
    assert set(module_hashes(["projects.b"], root)) == {"projects", "projects.b", "regard_lab"}


def test_an_unknown_root_is_an_error(root):
    with pytest.raises(ImportError, match=r"projects\.nowhere"):
        code_fingerprint(["projects.nowhere"], root)


def test_mechanisms_do_not_know_each_other(request):
    """What makes «exactly the tables that use it» true in this repository: a cell of one mechanism does not import another's file."""
    root = request.config.rootpath
    names = set(module_hashes(["projects.better_attention.train", "regard.mechanisms.efficient"], root))
    assert {name for name in names if name.startswith("regard.mechanisms.")} == {
        "regard.mechanisms.efficient",
        "regard.mechanisms.softmax",
    }
    assert not {
        name for name in names if name.startswith(("regard_lab.report", "regard_lab.reproduce", "regard_lab.cells"))
    }

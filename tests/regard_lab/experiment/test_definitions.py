"""Definitions: which members of a class belong to it, and what runs when a module is imported."""

import pytest

from tests.editing import change
from tests.regard_lab.experiment.small_repository import LIBRARY, differs, write, write_repository


@pytest.fixture
def root(tmp_path):
    return write_repository(tmp_path)


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

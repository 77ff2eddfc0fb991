"""A fingerprint changes with what the definitions reached say, and with nothing else."""

import shutil

import pytest

from regard_lab.experiment.fingerprint import code_fingerprint, definition_hashes, find, reach
from tests.editing import change
from tests.regard_lab.experiment.small_repository import LIBRARY, PROJECT, RUN, TOOLS, differs, write, write_repository


@pytest.fixture
def root(tmp_path):
    return write_repository(tmp_path)


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


def test_definitions_in_a_circle(root):
    even = "def even(n):\n    return n == 0 or odd(n - 1)\n\n\ndef odd(n):\n    return n != 0 and even(n - 1)\n"
    write(root, {"projects/b.py": even})
    before = code_fingerprint(["projects.b:even"], root)
    assert before != code_fingerprint(["projects.b:odd"], root)
    change(root / "projects/b.py", "even", "straight")
    assert code_fingerprint(["projects.b:straight"], root) == before
    change(root / "projects/b.py", "n != 0 and", "n != 1 and")
    assert code_fingerprint(["projects.b:straight"], root) != before


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
        "_marked(fused_attention(q",
        "_marked(fused_attention(k",
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


def test_a_whole_module_has_the_same_fingerprint_in_every_process(root):
    """The names that one statement binds are a set, whose order differs from process to process."""
    write(root, {"projects/codes.py": "H, G, F, E, D, C, B, A = range(8)\n"})
    assert [node.name for node in reach(["projects.codes"], root).texts] == ["*", *"ABCDEFGH"]

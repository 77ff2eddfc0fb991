"""What a type checker makes of the front door: names, options and results; and that the signatures are those of the constructors."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from regard import functional
from regard.registry import mechanism_class
from tests.paths import ROOT
from tests.regard.signatures import FUNCTIONAL, PATH, stub, with_functions

# Each line is checked by mypy as it would be in a user's file; what stands after `#` must be in what mypy says of the line.
SNIPPETS = """
import torch
import regard
from regard import functional
from regard.adapters import huggingface
from regard.attention import Attention
x = torch.zeros(2, 8, 16)
model = torch.nn.Linear(1, 1)
smyrf = regard.build("smyrf", width=16, heads=2, pattern="causal_self", rounds=2, cluster_size=4)
reveal_type(smyrf)  # Revealed type is "regard.mechanisms.smyrf.layer.SmyrfAttention"
reveal_type(smyrf.directions)  # "torch._tensor.Tensor"
reveal_type(smyrf(x, x_mask=x > 0))  # "torch._tensor.Tensor"
smyrf(x, mask=x > 0)  # Unexpected keyword argument "mask"
regard.build("smyrf", width=16, heads=2, roundz=3)  # No overload variant of "build" matches
regard.build("smyrff", width=16, heads=2)  # No overload variant of "build" matches
regard.build("smyrf", width=16, heads=2, rounds="2")  # No overload variant of "build" matches
regard.build("smyrf", width=16, heads=2, scheme="plane")  # No overload variant of "build" matches
regard.build("nystrom", width=16, heads=2, pattern="causal_self")  # No overload variant of "build" matches
regard.build("super", width=16, heads=2)  # No overload variant of "build" matches
regard.build("super", width=16, heads=2, length=8)  # OK
reveal_type(regard.registry.build("a name from a config", width=16, heads=2))  # "regard.attention.Attention"
reveal_type(regard.mechanism_class("softmax"))  # type[regard.attention.Attention]
reveal_type(regard.functional.smyrf(x, x, x, rounds=2))  # "torch._tensor.Tensor"
regard.functional.smyrf(x, x, x, roundz=2)  # Unexpected keyword argument "roundz" for "smyrf"
functional.performer(x, x, x)  # Missing named argument "projection" for "performer"
functional.softmaxx(x, x, x)  # Module has no attribute "softmaxx"
regard.buidl("softmax", width=16, heads=2)  # Module has no attribute "buidl"
regard.list_mechanisms().sort()  # OK
reveal_type(regard.replace_attention(model, "smyrf", rounds=2))  # list[
regard.replace_attention(model, only=["a"])  # No overload variant of "replace_attention" matches
regard.replace_attention(model, "smyrf", roundz=2)  # No overload variant of "replace_attention" matches
regard.replace_attention(model, "nystrom", pattern="causal_self")  # No overload variant of "replace_attention" matches
regard.replace_attention(model, "optimised")  # No overload variant of "replace_attention" matches
reveal_type(regard.swap(model, rounds=2, where=["a"]))  # "regard.adapters.swapping.SwapReport"
reveal_type(regard.swap(model, "local", window=3, example=x))  # "regard.adapters.swapping.SwapReport"
regard.swap(model, "smirf")  # No overload variant of "swap" matches
regard.swap(model, "smyrf", window=3)  # No overload variant of "swap" matches
regard.swap(model, "local", window="3")  # No overload variant of "swap" matches
regard.swap(model, "abc")  # No overload variant of "swap" matches
regard.adapters.swapping.swap(model, "a name from a config", rounds=2)  # OK
reveal_type(regard.observe(model, print))  # "regard.observers.Observer"
regard.observe(model, lambda one: one.probabilitys)  # "Observation" has no attribute "probabilitys"
huggingface.configure(model, rounds=2, layers=["1"])  # List item 0 has incompatible type "str"; expected "int"
regard.certify("softmax", ["causal"])  # List item 0 has incompatible type "Literal['causal']"
reveal_type(regard.cost.parameters("super", width=32, heads=4, length=32))  # int
"""


@pytest.mark.slow
def test_what_mypy_says(tmp_path: Path) -> None:
    """One run over all snippets; where `make test` has run mypy before, with its cache."""
    file = tmp_path / "snippets.py"
    file.write_text(SNIPPETS, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), "--show-error-codes"]
    run = subprocess.run([*command, str(file)], cwd=ROOT, capture_output=True, text=True, check=False)
    said: dict[int, str] = {}
    for number, text in re.findall(r"snippets\.py:(\d+): (.*)", run.stdout):
        said[int(number)] = f"{said.get(int(number), '')} {text}"
    assert said, run.stdout + run.stderr
    for number, line in enumerate(SNIPPETS.splitlines(), 1):
        _, _, wanted = line.partition("  # ")
        if wanted == "OK" or not wanted:
            assert number not in said, f"{line}: {said.get(number)}"
        else:
            assert wanted in said.get(number, ""), f"{line}: mypy says {said.get(number)!r}"


def test_the_signatures_are_those_of_the_constructors() -> None:
    """Of the mechanisms that the file lists: a new one is usable before `python -m tests.regard.signatures` has written it in."""
    text = PATH.read_text(encoding="utf-8")
    names = re.findall(r'name: Literal\["(\w+)"\]', text)
    assert {"smyrf", "softmax"} <= set(names)
    written, wanted = (ast.dump(ast.parse(source)) for source in (text, stub(names)))
    assert written == wanted, "run python -m tests.regard.signatures"


def test_the_functions_that_type_checkers_see_are_those_that_there_are() -> None:
    tree = ast.parse(Path(functional.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    seen = {name.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert list(seen) == functional.__all__
    text = FUNCTIONAL.read_text(encoding="utf-8")
    assert with_functions(text, [name for name in functional.__all__ if name != "super_values"]) == text
    for name, module in seen.items():
        assert getattr(functional, name) is getattr(sys.modules[str(module)], name)
        assert mechanism_class(str(module).split(".")[2]).__module__.startswith(str(module))

"""The public names, what they import, and the functions by name."""

import inspect
import re
import subprocess
import sys
from typing import Any

import pytest
import torch

import regard
from regard import cost, functional
from regard.adapters import huggingface
from regard.registry import UnknownMechanism, UnsupportedPattern, mechanism_class
from tests.regard.signatures import shipped


def test_public_names() -> None:
    assert dir(regard) == [
        "Attention",
        "SwapReport",
        "UnknownMechanism",
        "UnsupportedPattern",
        "adapters",
        "build",
        "certify",
        "cost",
        "effective",
        "functional",
        "list_mechanisms",
        "mechanism",
        "mechanism_class",
        "mechanisms",
        "observe",
        "replace_attention",
        "swap",
        "unswap",
    ]
    for name in dir(regard):
        assert getattr(regard, name) is not None
    with pytest.raises(AttributeError, match=r"no attribute 'buidl'; it has .*build"):
        regard.buidl  # noqa: B018


def test_no_more_mechanisms_are_imported_than_asked_for() -> None:
    steps = {
        "import regard, regard.attention, regard.functional, regard.cost; regard.list_mechanisms()": set(),
        "regard.build('softmax', width=4, heads=2)": {"softmax"},
        "regard.build('smyrf', width=4, heads=2)": {"softmax", "smyrf"},
        "regard.functional.super_values": {"softmax", "smyrf", "super"},
        "regard.mechanisms.smyrf.smyrf, regard.list_mechanisms()": {"softmax", "smyrf", "super"},  # one is the package
    }
    report = "print(*(m.split('.')[2] for m in sys.modules if m.startswith('regard.mechanisms.')))"
    code = "\n".join(["import sys", *(line for step in steps for line in (step, report))])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert [set(line.split()) for line in done.stdout.splitlines()] == list(steps.values())


def test_the_example_of_the_package() -> None:
    layer = regard.build("smyrf", width=16, heads=2, pattern="noncausal_self", rounds=2, cluster_size=4)
    assert layer(torch.randn(2, 9, 16)).shape == (2, 9, 16)
    q, k, v = (torch.randn(1, 2, 9, 8) for _ in range(3))
    assert regard.functional.smyrf(q, k, v, rounds=2, cluster_size=4).shape == q.shape


def documented() -> list[Any]:
    """What users call: the front door, the functions, the layers, the adapters and the costs."""
    front = [getattr(regard, name) for name in regard.__all__]
    layers = [mechanism_class(name) for name in shipped()]
    adapters = [huggingface.configure, huggingface.number_layers, huggingface.attention, huggingface.padding_mask]
    costs = [cost.parameters, cost.flops, cost.score_entries, cost.score_memory, cost.saved]
    others = [regard.effective.effective_attention, regard.effective.null_dimension, regard.effective.output_error]
    functions = [getattr(functional, name) for name in functional.__all__]
    errors = (UnknownMechanism, UnsupportedPattern)
    called = [each for each in front if callable(each) and each not in (*errors, regard.list_mechanisms)]
    return [*called, *functions, *layers, *adapters, *costs, *others]


@pytest.mark.parametrize("called", documented(), ids=lambda called: called.__name__)
def test_every_parameter_is_documented(called: Any) -> None:
    text = inspect.getdoc(called) or ""
    summary, *_ = text.split("\n\n")
    assert len(summary.splitlines()) == 1, f"the summary takes more than a line: {summary}"
    arguments = text.partition("Args:\n")[2].partition("\n\n")[0]
    described = re.findall(r"^    (\w+): ", arguments, re.MULTILINE)
    assert described == list(inspect.signature(called).parameters)
    options = {name for name, each in inspect.signature(called).parameters.items() if each.default is not each.empty}
    entries = dict(re.findall(r"^    (\w+): (.*(?:\n        .*)*)", arguments, re.MULTILINE))
    assert {name for name in options if "Default:" not in entries[name]} == set()

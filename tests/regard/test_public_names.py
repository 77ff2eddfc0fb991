"""The public names, what they import, and the functions by name."""

import subprocess
import sys

import pytest
import torch

import regard
from regard import functional
from regard.mechanisms.softmax import softmax


def test_public_names() -> None:
    assert dir(regard) == [
        "Attention",
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


def test_functions_by_name() -> None:
    assert functional.softmax is softmax
    assert {"abc", "linformer", "softmax", "super_values"} <= set(dir(functional))
    for name in dir(functional):
        assert getattr(functional, name).__name__ == name
    with pytest.raises(AttributeError, match=r"no attribute 'optimised'; it has .*softmax"):
        functional.optimised  # noqa: B018


def test_every_mechanism_has_its_function_or_is_softmax_on_split_heads() -> None:
    assert set(regard.list_mechanisms()) - set(dir(functional)) == {"efficient", "optimised", "super"}


def test_the_example_of_the_package() -> None:
    layer = regard.build("smyrf", width=16, heads=2, pattern="noncausal_self", rounds=2, cluster_size=4)
    assert layer(torch.randn(2, 9, 16)).shape == (2, 9, 16)
    q, k, v = (torch.randn(1, 2, 9, 8) for _ in range(3))
    assert regard.functional.smyrf(q, k, v, rounds=2, cluster_size=4).shape == q.shape

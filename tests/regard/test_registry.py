"""Mechanisms by name: building, clashes, nearest names, patterns."""

import pytest

from regard.attention import Attention
from regard.registry import UnknownMechanism, UnsupportedPattern, build, list_mechanisms, mechanism, mechanism_class

pytestmark = pytest.mark.usefixtures("own_registry")


def test_a_class_gets_its_name_patterns_and_paper() -> None:
    @mechanism("mine", patterns=("causal_cross", "noncausal_self"), paper="Me 2026")
    class Mine(Attention):
        pass

    assert (Mine.name, Mine.patterns, Mine.paper) == ("mine", ("noncausal_self", "causal_cross"), "Me 2026")
    assert "mine" in list_mechanisms()
    assert mechanism_class("mine") is Mine
    assert isinstance(build("mine", width=4, heads=2), Mine)


def test_two_classes_cannot_have_one_name() -> None:
    mechanism("taken", patterns=["causal_self"], paper="")(type("First", (Attention,), {}))
    with pytest.raises(ValueError, match=r"two mechanisms claim the name 'taken': .*First and .*Second"):
        mechanism("taken", patterns=["causal_self"], paper="")(type("Second", (Attention,), {}))


def test_the_same_class_may_come_again() -> None:
    for _ in range(2):  # a module that is reloaded
        mechanism("again", patterns=["causal_self"], paper="")(type("Again", (Attention,), {}))


def test_unknown_patterns_of_a_class_raise() -> None:
    with pytest.raises(ValueError, match=r"'odd' declares unknown patterns \['sideways'\]; there are noncausal_self"):
        mechanism("odd", patterns=["sideways"], paper="")(Attention)  # type: ignore[list-item]


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(UnknownMechanism, match=r"no mechanism 'smurf'. Did you mean 'smyrf'\? There are: .*softmax"):
        build("smurf", width=4, heads=2)
    with pytest.raises(UnknownMechanism, match=r"no mechanism 'xxxxxxxx'. There are: "):
        build("xxxxxxxx", width=4, heads=2)
    with pytest.raises(UnknownMechanism):
        build("../layer", width=4, heads=2)


def test_an_unsupported_pattern_lists_those_there_are() -> None:
    with pytest.raises(
        UnsupportedPattern, match="'smyrf' does not have the pattern 'causal_cross'; it has noncausal_self"
    ):
        build("smyrf", width=4, heads=2, pattern="causal_cross")

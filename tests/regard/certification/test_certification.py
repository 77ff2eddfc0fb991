"""Every registered mechanism is certified in every pattern that it declares."""

import pytest

from regard.certification import certify
from regard.common.patterns import Pattern
from regard.registry import list_mechanisms, mechanism_class

DECLARED = [(name, pattern) for name in list_mechanisms() for pattern in mechanism_class(name).patterns]


@pytest.mark.parametrize(("name", "pattern"), DECLARED)
def test_certified(name: str, pattern: Pattern) -> None:
    failures = [f"{each.property}: {each.detail}" for each in certify(name, [pattern]) if not each.passed]
    assert not failures, "\n".join(failures)

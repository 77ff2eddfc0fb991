"""Every registered mechanism is certified in every pattern that it declares."""

import pytest

from regard.certify import certify
from regard.patterns import Pattern
from regard.registry import mechanism_class, mechanisms

DECLARED = [(name, pattern) for name in mechanisms() for pattern in mechanism_class(name).patterns]


@pytest.mark.parametrize(("name", "pattern"), DECLARED)
def test_certified(name: str, pattern: Pattern) -> None:
    failures = [f"{each.property}: {each.detail}" for each in certify(name, [pattern]) if not each.passed]
    assert not failures, "\n".join(failures)

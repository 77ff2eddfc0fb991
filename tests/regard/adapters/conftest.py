import pytest

from regard.adapters import huggingface


@pytest.fixture(scope="module")
def registered() -> None:
    """The mechanisms, known to transformers by name."""
    huggingface.register()

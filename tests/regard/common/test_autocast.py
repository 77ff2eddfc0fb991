"""Functions that choose their own dtypes do so under autocast too."""

import torch

from regard.common.autocast import autocast_enabled, disable_autocast


@disable_autocast
def product(q: torch.Tensor, *, twice: bool = False) -> torch.Tensor:
    """What autocast would do in bfloat16."""
    return (2 if twice else 1) * (q @ q.mT)


def test_autocast_is_off_inside_and_on_again_after() -> None:
    q = torch.tensor([[1.0, 2.0**-10]])  # bfloat16 holds eight bits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (q @ q.mT).dtype == torch.bfloat16
        found = product(q, twice=True)
        assert (q @ q.mT).dtype == torch.bfloat16
    assert found.dtype == torch.float32
    assert found.item() == 2 * (1 + 2.0**-20)


def test_half_precision_is_left_to_the_function() -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert product(torch.ones(1, 2, dtype=torch.float16)).dtype == torch.float16


def test_whether_autocast_is_on() -> None:
    assert not autocast_enabled("cpu")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert autocast_enabled("cpu")
    assert not autocast_enabled("meta")  # has none, which is no error


def test_the_function_keeps_its_name_and_its_other_callers() -> None:
    assert product.__name__ == "product"
    assert disable_autocast(lambda q: q)("no tensor") == "no tensor"

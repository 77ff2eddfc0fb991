"""What a command line names is found, or one sentence says why not."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from regard.certification import certify
from regard.loading import BadRequest, find_class, key_and_value, load_file
from regard.mechanisms.softmax import SoftmaxAttention
from regard.registry import UnknownMechanism


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """What a test imports is forgotten after it, and the path is as it was."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("user_")]:
        del sys.modules[name]


def test_three_ways_to_name_a_class() -> None:
    assert find_class("softmax") is SoftmaxAttention
    assert find_class("regard.mechanisms.softmax:SoftmaxAttention") is SoftmaxAttention
    Path("mine.py").write_text("class Mine:\n    mix = None\n", encoding="utf-8")
    assert find_class("mine.py:Mine").__name__ == "Mine"


def test_a_file_may_import_its_neighbours_and_takes_no_place_of_pythons() -> None:
    Path("queue.py").write_text("from neighbour import VALUE\nclass Mine:\n    mix = VALUE\n", encoding="utf-8")
    Path("neighbour.py").write_text("VALUE = 7\n", encoding="utf-8")
    assert find_class("queue.py:Mine").mix == 7
    import queue

    assert hasattr(queue, "Queue")
    del sys.modules["neighbour"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("regard.mechanisms.softmax:SoftmaxAttentoin", "has no class .* Did you mean 'SoftmaxAttention'"),
        ("nowhere.at_all:Mine", "there is no module 'nowhere.at_all'; for a file write path/to/file.py:Class"),
        ("gone.py:Mine", "there is no file gone.py"),
        ("broken.py:Mine", "broken.py cannot be imported: ZeroDivisionError: division by zero"),
        ("wants.py:Mine", "wants.py cannot be imported: ModuleNotFoundError"),
    ],
)
def test_what_is_wrong_is_one_sentence(target: str, message: str) -> None:
    Path("broken.py").write_text("1 / 0\n", encoding="utf-8")
    Path("wants.py").write_text("import a_package_that_is_not_there\n", encoding="utf-8")
    with pytest.raises(BadRequest, match=message) as caught:
        find_class(target)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_is_that_of_the_registry() -> None:
    with pytest.raises(UnknownMechanism, match="Did you mean 'softmax'"):
        find_class("sofmax")


def test_a_file_is_the_module_of_its_classes() -> None:
    """The layer looks there for its reference."""
    Path("mine.py").write_text("class Mine:\n    pass\n", encoding="utf-8")
    module = load_file(Path("mine.py"))
    assert sys.modules[module.Mine.__module__] is module


@pytest.mark.parametrize(
    ("text", "value"),
    [("a=2", 2), ("a=2.5", 2.5), ("a=True", True), ("a=[1, 2]", [1, 2]), ("a=b=c", "b=c"), ("a=", "")],
)
def test_an_option_is_a_literal_or_a_word(text: str, value: object) -> None:
    assert key_and_value(text) == ("a", value)


@pytest.mark.parametrize("text", ["a", "=2", "two words=2", "2=a"])
def test_what_is_no_option_is_refused(text: str) -> None:
    with pytest.raises(BadRequest, match="--option takes KEY=VALUE, got"):
        key_and_value(text)


PLAIN = '''
import torch
from torch import nn


class Plain(nn.Module):
    """Softmax attention that knows nothing of the library."""

    def __init__(self, sharpness: float = 1.0) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor(sharpness))

    def forward(self, q, k, v, key_mask=None, causal=False):
        scores = self.sharpness * (q @ k.mT) / q.shape[-1] ** 0.5
        if key_mask is not None:
            scores = scores.masked_fill(~key_mask[:, None, None], -torch.inf)
        if causal:
            scores = scores.masked_fill(torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1), -torch.inf)
        return scores.softmax(-1) @ v


class Unmasked(nn.Module):
    def forward(self, query, key, value):
        return value.mean(2, keepdim=True).expand(query.shape)


class Layer(nn.Module):
    def forward(self, x):
        return x
'''


def test_a_module_of_q_k_and_v_is_a_mechanism() -> None:
    Path("plain.py").write_text(PLAIN, encoding="utf-8")
    cls = find_class("plain.py:Plain")
    assert cls.patterns == ("noncausal_self", "causal_self")
    assert [str(one) for one in certify(cls, options={"sharpness": 2.0}) if not one.passed] == []
    torch.manual_seed(0)
    ours = cls(width=8, heads=2, pattern="causal_self")
    dense = SoftmaxAttention(width=8, heads=2, pattern="causal_self")
    dense.load_state_dict({name: value for name, value in ours.state_dict().items() if name in dense.state_dict()})
    x, mask = torch.randn(2, 5, 8), torch.tensor([[False, True, True, False, True], [True] * 5])
    torch.testing.assert_close(ours(x, x_mask=mask)[mask], dense(x, x_mask=mask)[mask])
    with pytest.raises(TypeError, match="unexpected keyword argument 'blunt'"):
        cls(width=8, heads=2, blunt=1)


def test_what_a_plain_module_lacks_certification_says() -> None:
    Path("plain.py").write_text(PLAIN, encoding="utf-8")
    cls = find_class("plain.py:Unmasked")
    assert cls.patterns == ("noncausal_self",)
    assert {one.property for one in certify(cls) if not one.passed} == {"padding"}  # it counts masked keys
    assert not hasattr(find_class("plain.py:Layer"), "patterns")

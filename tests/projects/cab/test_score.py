"""`projects.cab.score` on a mechanism in a file of its own, outside the repository."""

import linecache
import sys
import types
from pathlib import Path

import pytest
import torch

from projects.cab import score
from projects.cab.config import own_checksum
from regard import registry
from regard_lab.common.errors import UserError
from regard_lab.experiment.composition import compose
from regard_lab.experiment.results import Metric, Result, Row, read_result
from tests.paths import ROOT

OWN = """
from regard.attention import Attention
from regard.registry import mechanism
from regard.mechanisms.softmax import naive_softmax, softmax


@mechanism("mine_of_the_score_test", patterns=("causal_cross",), paper="none")
class Mine(Attention):
    def mix(self, q, k, v, key_mask):
        return softmax(q, k, v, key_mask=key_mask)

    def naive(self, q, k, v, key_mask):
        return naive_softmax(q, k, v, key_mask=key_mask)


class Nothing:
    pass
"""


@pytest.fixture
def small(made_up, tmp_path, monkeypatch):
    """The command with made-up data and small models; certification with its first three properties; constants that are there."""
    (tmp_path / "mine.py").write_text(OWN)
    few = [
        word for word in made_up if word.startswith(("lstf.", "lm.", "mlm.", "pcc.", "sr.", "summary.", "translation."))
    ]

    def composed(project, root: Path, overrides: list[str]):
        found = compose(project, ROOT, [*overrides, *few])
        found.config["constants"] = {"translation": {"perplexity": {"mean": 10.0, "sd": 2.0}}}
        return found

    monkeypatch.setattr(score, "compose", composed)
    monkeypatch.setattr(score, "PROPERTIES", score.PROPERTIES[:3])
    monkeypatch.setattr(score.data, "ensure", lambda *_: None)
    yield tmp_path
    for name in (
        "mine_of_the_score_test",
        "other_of_the_score_test",
    ):  # the registry is the process's, and other tests read it
        registry._registered.pop(name, None)


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["score", *words, "--executor", "inline"])
    return score.main()


def test_a_mechanism_is_certified_trained_ranked_and_kept(small, monkeypatch, capsys):
    rival = Row({"attention": "rival", "pattern": "causal_cross"}, {}, "ok", "", [0], [])
    metrics = {name: Metric.of([1e6], "") for name in ("index", "over_none")}
    others = Result("cab", "index", "quick", "", [], [Row(rival.key, metrics, "ok", "", [0], [])])
    score.write_result(small / "results" / "quick" / "cab" / "index.json", others)
    assert run(monkeypatch, "mine.py:Mine") == 0
    printed = capsys.readouterr().out
    assert "✓ causal_cross: 3 of 3 properties hold" in printed
    first, second = (line for line in printed.splitlines() if "rival" in line or "Mine" in line)
    assert "·  rival" in first  # at quick nothing is ranked
    assert "▸  ·  mine.py:Mine" in second
    kept = read_result(small / "results" / "quick" / "cab" / "own.json")
    assert [row.key for row in kept.rows] == [{"attention": "mine.py:Mine", "pattern": "causal_cross"}]
    assert set(kept.rows[0].metrics) == set(score.METRICS)
    assert kept.fingerprint is None

    (small / "other.py").write_text(OWN.replace("mine_of", "other_of"))
    assert run(monkeypatch, "other.py:Mine") == 0  # a second mechanism joins the first
    kept = read_result(small / "results" / "quick" / "cab" / "own.json")
    assert [row.key["attention"] for row in kept.rows] == ["mine.py:Mine", "other.py:Mine"]
    assert len(kept.records) == 2


def test_ranks_only_where_the_gates_have_been_passed():
    def row(name, pattern, values):
        metrics = {metric: Metric.of(values, "") for metric in ("index", "over_none")}
        return Row({"attention": name, "pattern": pattern}, metrics, "ok", "", [0, 1, 2], [])

    others = Result("cab", "index", "laptop", "", [], [row("rival", "causal_self", [2.0, 2.1, 2.2])])
    mine = [row("mine", "causal_self", [1.0, 1.0, 1.3]), row("mine", "causal_cross", [1.0, 1.0, 1.3])]
    said = score.report(Result("cab", "own", "laptop", "", [], mine), others, "laptop", {"causal_cross": ["Gated."]})
    assert "   1  rival" in said
    assert "▸  2  mine" in said
    assert "▸  ·  mine" in said
    assert "Gated." in said
    # mean 1.1, standard error 0.1, t(2) 4.303
    assert "+1.100 [+0.670, +1.530]" in said


def test_a_class_at_hand_is_named_as_a_command_would_name_it(tmp_path):
    from regard.loading import load_file
    from regard.mechanisms.local import LocalAttention

    (tmp_path / "named.py").write_text("from torch import nn\n\n\nclass Mine(nn.Module):\n    pass\n")
    assert score.target_of(load_file(tmp_path / "named.py").Mine) == f"{tmp_path / 'named.py'}:Mine"
    assert score.target_of(LocalAttention) == "local"

    class Inside(torch.nn.Module):
        pass

    with pytest.raises(UserError, match="not defined at the top"):
        score.target_of(Inside)


def test_a_class_of_a_notebook(monkeypatch):
    """As IPython does: cells run in a `__main__` without a file, and their text is in linecache."""
    text = "class Mine:\n    def forward(self, q, k, v):\n        return v\n"
    notebook = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", notebook)

    def cell(number: int, text: str):
        place = f"<ipython-input-{number}>"
        monkeypatch.setitem(linecache.cache, place, (len(text), None, text.splitlines(keepends=True), place))
        exec(compile(text, place, "exec"), vars(notebook))
        return own_checksum("__main__:Mine")

    first = cell(1, text)
    assert score.target_of(notebook.Mine) == "__main__:Mine"
    assert cell(2, "# more\n\n" + text) == first
    assert cell(3, text.replace("return v", "return q")) != first
    exec("class Mine:\n    def forward(self, q, k, v):\n        return v\n", vars(notebook))
    with pytest.raises(UserError, match="Mine has no text"):
        own_checksum("__main__:Mine")


def test_what_is_not_certified_is_not_trained(small, monkeypatch, capsys):
    (small / "mine.py").write_text(OWN.replace("return softmax(q, k, v, key_mask=key_mask)", "return softmax(q, k, v)"))
    assert run(monkeypatch, "mine.py:Mine") == 1
    printed = capsys.readouterr().out
    assert "✗ causal_cross: 2 of 3 properties hold" in printed
    assert "causal_cross, padding: " in printed
    assert "--anyway" in printed
    assert not (small / "results").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mine.py:Main"], "mine.py has no class 'Main'. Did you mean 'Mine'?"),
        (["yours.py:Mine"], "there is no file yours.py"),
        (["lokal"], "Did you mean 'local'"),
        (["mine.py:Nothing"], "mine.py:Nothing declares no pattern"),
        (["mine.py:Mine", "--pattern", "causal_self"], "does not declare causal_self; it declares causal_cross"),
        (["mine.py:Mine", "--option", "features"], "--option takes KEY=VALUE"),
        (["mine.py:Mine", "--option", "features=2"], "takes no option|unexpected keyword"),
        (["mine.py:Mine", "--scale", "huge"], "there is no scale 'huge'"),
    ],
)
def test_what_is_wrong_is_one_sentence(small, monkeypatch, capsys, words, message):
    import re

    assert run(monkeypatch, *words) == 2
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert len(said.strip().splitlines()) <= 2

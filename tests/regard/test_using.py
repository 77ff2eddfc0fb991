"""Every snippet of docs/using.md runs as it stands."""

import re

import pytest
import torch

from tests.paths import ROOT

PAGE = (ROOT / "docs" / "using.md").read_text(encoding="utf-8")
SECTIONS = re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
SNIPPETS = [
    (title, code) for title, text in SECTIONS for code in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
]


def test_every_snippet_is_found() -> None:
    assert [title for title, _ in SNIPPETS] == [
        "Swap a model's attention",
        "Swap a model's attention",
        "Keep it in a Hugging Face config",
        "Build a layer",
        "Replace torch's attention",
        "Look inside",
    ]
    assert PAGE.count("```python") == len(SNIPPETS)


@pytest.mark.parametrize(("title", "code"), SNIPPETS, ids=[title for title, _ in SNIPPETS])
def test_snippet(title: str, code: str) -> None:
    if "transformers" in code:
        pytest.importorskip("transformers")
    torch.manual_seed(0)
    exec(compile(code, f"docs/using.md: {title}", "exec"), {})

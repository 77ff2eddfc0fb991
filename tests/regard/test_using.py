"""Every snippet of docs/using.md runs as it stands."""

import re

import pytest
import torch

from tests.paths import ROOT

PAGE = (ROOT / "docs" / "using.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^## ([^\n]+)\n.*?```python\n(.*?)```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_every_snippet_is_found() -> None:
    assert [title for title, _ in SNIPPETS] == [
        "Build a layer",
        "Replace torch's attention",
        "A Hugging Face model",
        "Look inside",
    ]
    assert PAGE.count("```python") == len(SNIPPETS)


@pytest.mark.parametrize(("title", "code"), SNIPPETS, ids=[title for title, _ in SNIPPETS])
def test_snippet(title: str, code: str) -> None:
    if "transformers" in code:
        pytest.importorskip("transformers")
    torch.manual_seed(0)
    exec(compile(code, f"docs/using.md: {title}", "exec"), {})

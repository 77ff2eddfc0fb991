"""`python -m regard.adapters.scan`: a sample of model types, each proven; the command and its table."""

from pathlib import Path

import pytest

from regard.adapters import scan
from tests.paths import ROOT

pytest.importorskip("transformers")
PAGE = ROOT / "docs" / "scan.md"

# Attentions, those that softmax takes, those that SMYRF takes.
SAMPLE = {
    "albert": (1, 1, 1), "altclip": (4, 4, 4), "apertus": (2, 2, 2), "aria_text": (2, 2, 2), "bart": (6, 6, 4), "beit": (2, 2, 2),
    "bert": (2, 2, 2), "biogpt": (2, 2, 2), "blenderbot": (6, 6, 4), "bloom": (0, 0, 0), "camembert": (2, 2, 2), "canine": (0, 0, 0),
    "chinese_clip": (4, 4, 4), "clip": (4, 4, 4), "clipseg": (4, 4, 4), "cohere": (2, 2, 2), "cohere2": (2, 2, 0), "convbert": (0, 0, 0),
    "deberta-v2": (0, 0, 0), "deit": (2, 2, 2), "dinov2": (2, 2, 2), "distilbert": (2, 2, 2), "electra": (2, 2, 2), "falcon": (2, 2, 2),
    "gemma": (2, 2, 2), "gemma3": (2, 2, 0), "gpt2": (2, 2, 2), "gpt_neox": (2, 2, 2), "llama": (2, 2, 2), "mistral": (2, 2, 0),
    "mpnet": (0, 0, 0), "opt": (2, 2, 2), "phi": (2, 2, 2), "qwen2": (2, 2, 2), "qwen3": (2, 2, 2), "roberta": (2, 2, 2),
    "siglip": (5, 5, 5), "t5": (6, 6, 0), "vit": (2, 2, 2), "whisper": (6, 6, 4),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(SAMPLE))
def test_a_sample_of_types(kind: str) -> None:
    line = scan.scan(kind, "smyrf")
    assert (line.attentions, line.softmax, line.mechanism) == SAMPLE[kind], line.note


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{scan.BEGIN}\nold\n{scan.END}\nafter\n")
    assert scan.main(["bert", "mpnet", "--write", str(page)]) == 0
    out = capsys.readouterr().out
    assert (
        "2 types: in 1 attention was caught; softmax proves equal in every attention of 1, smyrf takes every attention of 1"
        in out
    )
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "| bert | 2 | 2 | 2 |  |" in text
    assert "MPNetModel has no attention that can be caught" in text
    assert "old" not in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["brt"], "there is no model type brt"),
        (["bert", "--mechanism", "abc"], "'abc' has parameters of its own"),
        (["bert", "--mechanism", "smurf"], "Did you mean 'smyrf'"),
    ],
)
def test_what_cannot_be_scanned(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_the_page_has_a_line_for_each_type_of_the_sample() -> None:
    text = PAGE.read_text(encoding="utf-8")
    lines = {line.split("|")[1].strip(): line.split("|")[2:5] for line in text.splitlines() if line.startswith("| ")}
    for kind, counts in SAMPLE.items():
        assert tuple(int(count) for count in lines[kind]) == counts, kind


def test_an_error_in_the_table_names_no_place_on_this_machine() -> None:
    assert scan.short("no X in '/home/me/lib/site-packages/a.py' (1/2 | 3)") == "no X in '…/a.py' (1/2 / 3)"

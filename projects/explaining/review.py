"""A review as HTML, its words coloured by raw and by effective attention, side by side; from a table's result, without running a model.

python -m projects.explaining.review --data imdb --model encoder --definition E4 --output review.html
"""

import argparse
import html
import sys
from pathlib import Path
from typing import Any

from projects.explaining.figures.review import exhibit
from regard_lab.common.errors import UserError, command
from regard_lab.common.files import write_atomically
from regard_lab.experiment.results import SCALES, read_result, result_path

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 16px/1.9 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
section {{ display: grid; grid-template-columns: 1fr 1fr; gap: 2rem; }}
span {{ padding: .1em .15em; border-radius: .2em; }}
small {{ color: #666; }}
</style>
<h1>{title}</h1>
<p>{caption}</p>
<section>
{columns}
</section>
</html>
"""


def page(text: dict[str, Any], definition: str, scale: str) -> str:
    """The whole page.

    Args:
        text: What a cell of the table `definitions` left.
        definition: The cell's.
        scale: The cell's.
    """
    columns = "\n".join(
        f"<div><h2>{title}</h2>\n<p>{coloured(text['words'], text[weights])}</p></div>"
        for title, weights in (("Raw attention", "raw"), (f"Effective attention, {definition}", "effective"))
    )
    verdict = "right" if text["label"] == text["predicted"] else "wrong"
    caption = (
        f"The classifier gives class {text['predicted']} a probability of {text['probability']:.3f} ({verdict}), with either. Orange: positive"
        f" weights, blue: negative ones; the strongest colour is the largest weight of its side. <small>{scale} scale</small>"
    )
    return PAGE.format(title="One text, two attentions", caption=caption, columns=columns)


def coloured(words: list[str], weights: list[float]) -> str:
    """Each word in a span, coloured by its weight."""
    largest = max(abs(weight) for weight in weights) or 1.0
    spans = []
    for word, weight in zip(words, weights, strict=True):
        colour = "213, 94, 0" if weight > 0 else "0, 114, 178"
        spans.append(
            f'<span style="background: rgba({colour}, {0.8 * abs(weight) / largest:.3f})" title="{weight:.4f}">{html.escape(word)}</span>'
        )
    return " ".join(spans)


@command
def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m projects.explaining.review", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--data", default="imdb")
    parser.add_argument("--model", default="encoder")
    parser.add_argument("--definition", default="E4")
    parser.add_argument("--scale", default=None, help="quick, laptop or paper (default: the largest that has been run)")
    parser.add_argument("--output", type=Path, default=Path("review.html"))
    arguments = parser.parse_args()
    scales = [arguments.scale] if arguments.scale else list(reversed(SCALES))
    run_scales = [scale for scale in scales if result_path(Path(), "explaining", "definitions", scale).exists()]
    if not run_scales:
        raise UserError(
            "there is no result of explaining/definitions; run `make reproduce TABLE=explaining/definitions` first"
        )
    result = read_result(result_path(Path(), "explaining", "definitions", run_scales[0]))
    text = exhibit(result, arguments.definition, arguments.model, arguments.data)
    if text is None:
        raise UserError(
            f"the result at {run_scales[0]} has no row {arguments.definition}, {arguments.model}, {arguments.data}"
        )
    write_atomically(arguments.output, page(text, arguments.definition, run_scales[0]))
    print(arguments.output)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The page of `explain`: a map of the heads' null shares, and the words under any head, raw and effective side by side. One file, no network."""

import html
import json

from projects.explaining.analyses.heads import Explanation

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font: 15px/1.7 system-ui, sans-serif; max-width: 84rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
section {{ display: grid; grid-template-columns: 1fr 1fr; gap: 2rem; }}
span {{ padding: .1em .1em; border-radius: .2em; }}
table {{ border-collapse: collapse; font-size: 12px; }}
td, th {{ padding: .15em .4em; text-align: right; border: 1px solid #eee; }}
td button {{ all: unset; cursor: pointer; }}
td:has(button:focus-visible), td.shown {{ outline: 2px solid #222; }}
small {{ color: #555; }}
</style>
<h1>{title}</h1>
<p>{caption}</p>
<table aria-label="Null share of each head, in per cent">
{table}
</table>
<h2 id="which"></h2>
<p id="numbers"></p>
<section><div><h3>Raw attention</h3><p id="raw"></p></div>
<div><h3>Effective attention, {definition}</h3><p id="effective"></p></div></section>
<script type="application/json" id="data">{data}</script>
<script>
const data = JSON.parse(document.getElementById("data").textContent);
function paint(place, weights) {{
  const box = document.getElementById(place), most = Math.max(...weights.map(Math.abs)) || 1;
  box.replaceChildren(...data.words.flatMap((word, j) => {{
    const span = document.createElement("span"), w = weights[j] ?? 0;
    span.style.background = `rgba(${{w > 0 ? "213, 94, 0" : "0, 114, 178"}}, ${{(0.8 * Math.abs(w) / most).toFixed(3)}})`;
    span.title = w.toFixed(5); span.textContent = word;
    return [span, " "];
  }}));
}}
function show(number) {{
  const head = data.heads[number];
  document.querySelectorAll("td.shown").forEach(cell => cell.classList.remove("shown"));
  document.getElementById("head" + number).classList.add("shown");
  document.getElementById("which").textContent = `Layer ${{head.layer}}, head ${{head.head}}`;
  document.getElementById("numbers").textContent = head.says;
  paint("raw", head.raw); paint("effective", head.effective);
}}
document.querySelectorAll("td button").forEach(button => button.onclick = () => show(button.dataset.head));
show(0);
</script>
</html>
"""


def page(explanation: Explanation, model: str) -> str:
    """The whole page.

    Args:
        explanation: Of one text.
        model: What the model is called.
    """
    layers = sorted({head.layer for head in explanation.heads})
    width = max(head.head for head in explanation.heads) + 1
    lines = ["<tr><th>layer</th>" + "".join(f"<th>{head}</th>" for head in range(width)) + "</tr>"]
    numbers = {(head.layer, head.head): number for number, head in enumerate(explanation.heads)}
    for layer in layers:
        own = [number for (one, _), number in numbers.items() if one == layer]
        lines.append(f"<tr><th>{layer}</th>" + "".join(_cell(explanation, number) for number in own) + "</tr>")
    whose = "last token's, in a causal model" if explanation.causal else "first token's"
    caption = (
        f"{len(explanation.words)} tokens. Numbers: null share, the part of the squared norm of a head's rows that its values do not see, in %."
        f" Choose a head to see its weights on the {whose} row. Orange: positive, blue: negative; the strongest colour is the largest weight of"
        " its side."
    )
    # "</" would end the script.
    data = json.dumps(plain(explanation), ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    return PAGE.format(
        title=html.escape(f"{model}, head by head"),
        caption=caption,
        table="\n".join(lines),
        definition=explanation.definition,
        data=data,
    )


def _cell(explanation: Explanation, number: int) -> str:
    share = explanation.heads[number].null_share
    ground = f"rgba(213, 94, 0, {0.8 * share:.2f})"
    return f'<td id="head{number}" style="background: {ground}"><button data-head="{number}">{100 * share:.0f}</button></td>'


def plain(explanation: Explanation) -> dict[str, object]:
    """What the page's script reads."""
    heads = []
    for head in explanation.heads:
        words = [f"null share {100 * head.null_share:.1f} %", f"weight moved {100 * head.moved:.1f} %"]
        words += [f"τ of {kind} with {name} {tau:.3f}" for (name, kind), tau in head.agreement.items()]
        heads.append(
            {
                "layer": head.layer,
                "head": head.head,
                "raw": [round(weight, 5) for weight in head.raw.tolist()],
                "effective": [round(weight, 5) for weight in head.effective.tolist()],
                "says": "; ".join(words),
            }
        )
    return {"words": explanation.words, "heads": heads}

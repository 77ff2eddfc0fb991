"""In which model types of transformers a mechanism can replace attention: each type is built small, swapped and proven.

    python -m regard.adapters.scan                          all types that can be built small
    python -m regard.adapters.scan bert whisper             these
    python -m regard.adapters.scan --mechanism local --write docs/scan.md

Weights are random and varied (attention is peaked, no parameter keeps its initial value), because uniform weights would
hide faults. One line per type: attentions that softmax takes and proves equal, attentions that the mechanism takes, and
the reasons against the others. Exit status: 0, or 2 for a type or mechanism that does not exist.
"""

import argparse
import contextlib
import gc
import inspect
import io
import re
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from regard.adapters import examples, swapping
from regard.adapters.proof import SwapError, outputs, quiet

LARGEST = 5_000_000  # parameters; a type that stays larger is left out
BEGIN, END = "<!-- scan: begin -->", "<!-- scan: end -->"

# Sizes by the names that configs give them.
SMALL: dict[str, Any] = {
    **dict.fromkeys(
        ("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "embedding_size", "projection_dim", "hidden_dim", "emb_dim",
         "encoder_hidden_size", "decoder_hidden_size", "text_embed_dim", "word_embed_proj_dim", "embedding_dim", "projection_hidden_size"), 32),
    **dict.fromkeys(
        ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers", "decoder_layers", "num_encoder_layers",
         "num_decoder_layers", "depth", "encoder_num_hidden_layers", "decoder_num_hidden_layers", "num_block", "num_blocks"), 2),
    **dict.fromkeys(
        ("num_attention_heads", "n_head", "n_heads", "num_heads", "encoder_attention_heads", "decoder_attention_heads",
         "attention_heads", "num_encoder_attention_heads", "num_decoder_attention_heads", "encoder_num_attention_heads",
         "decoder_num_attention_heads"), 4),
    **dict.fromkeys(("num_key_value_heads", "num_kv_heads", "encoder_num_key_value_heads", "decoder_num_key_value_heads"), 2),
    **dict.fromkeys(("intermediate_size", "d_ff", "encoder_ffn_dim", "decoder_ffn_dim", "ffn_dim", "dff", "n_inner", "mlp_dim",
                     "moe_intermediate_size", "shared_expert_intermediate_size", "d_inner", "ffn_hidden_size"), 48),
    **dict.fromkeys(("head_dim", "d_kv", "attention_head_size", "qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim", "global_head_dim"), 8),
    **dict.fromkeys(("max_position_embeddings", "n_positions", "max_target_positions", "max_sequence_length"), 128),
    **dict.fromkeys(("num_experts", "num_local_experts", "n_routed_experts"), 4),
    "vocab_size": 100, "vocab_size_per_layer_input": 100, "hidden_size_per_layer_input": 8, "num_experts_per_tok": 2, "n_group": 1,
    "topk_group": 1, "q_lora_rank": 16, "kv_lora_rank": 16, "image_size": 32, "img_size": 32, "patch_size": 8, "num_mel_bins": 16,
    "max_source_positions": 40, "sliding_window": 8, "num_channels": 3, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "expert_capacity": 64, "max_2d_position_embeddings": 64, "type_vocab_size": 2, "layerdrop": 0.0, "encoder_layerdrop": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class Line:
    """The result for one model type.

    Args:
        kind: The model type.
        attentions: How many attentions were recorded.
        softmax: How many of them softmax takes, proven equal.
        mechanism: How many the mechanism takes.
        note: Why not the others, or why nothing was tried.
    """

    kind: str
    attentions: int = 0
    softmax: int = 0
    mechanism: int = 0
    note: str = ""


def lively(model: Any) -> Any:
    """The model in evaluation mode with its weights changed: matrices scaled up, nothing left at 0 or 1."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.is_floating_point():
                continue
            drawn = torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
            if parameter.ndim > 1:
                parameter.copy_(1.5 * drawn / parameter[0].numel() ** 0.5)
            else:
                parameter.add_(0.3 * drawn)
        for module in model.modules():
            if isinstance(module, nn.Embedding):
                module.weight.mul_(module.weight.shape[1] ** 0.5)
    return model.eval()


def small_config(cls: Any, depth: int = 0) -> Any:
    """A config of this class with small sizes; those of its parts too."""
    takes = inspect.signature(cls.__init__).parameters
    names = set(takes) | set(getattr(cls, "__annotations__", {})) | set(getattr(cls, "attribute_map", {}))
    for base in cls.__mro__:
        names |= set(getattr(base, "__annotations__", {}))
    sizes = {name: value for name, value in SMALL.items() if name in names}
    parts = {}
    for name, part in (getattr(cls, "sub_configs", None) or {}).items():
        with contextlib.suppress(Exception):
            default = getattr(cls(), name)
            parts[name] = small_config(type(default) if default is not None else part, depth + 1).to_dict()
    failures = []
    for drop in (
        (),
        ("head_dim",),
        ("num_key_value_heads",),
        ("head_dim", "num_key_value_heads"),
        ("patch_size",),
        tuple(sizes),
    ):
        given = {name: value for name, value in sizes.items() if name not in drop}
        try:
            return cls(**given, **parts)
        except Exception as error:
            failures.append(error)
    raise failures[0]


def build(kind: str) -> Any:
    """A small, lively model of a type. Raises where it cannot be built small."""
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    config = small_config(CONFIG_MAPPING[kind])
    known: Any = MODEL_MAPPING[type(config)]
    cls = known[0] if isinstance(known, (tuple, list)) else known
    with torch.device("meta"):
        size = sum(p.numel() for p in cls(config).parameters())
    if size > LARGEST:
        raise ValueError(f"it has {size:,} parameters at its smallest")
    torch.manual_seed(0)
    return lively(cls(config))


def scan(kind: str, mechanism: str) -> Line:
    """Build a type, swap softmax and a mechanism into it."""
    try:
        with silence():
            model = build(kind)
            example = examples.find(model)
    except Exception as error:
        return Line(kind, note=f"not built small: {type(error).__name__}: {short(error)}")
    if example is None:
        return Line(kind, note="no inputs were found that it takes")
    try:
        if repeats(model, example) > 0:
            return Line(kind, note="two runs differ: it draws at random in evaluation")
    except Exception as error:
        return Line(kind, note=f"a second run fails: {type(error).__name__}: {short(error)}")
    counts, notes = [], []
    heard = 0
    for name in ("softmax", mechanism):
        try:
            with silence():
                report = swapping.swap(model, name, where="possible", example=example)
        except (SwapError, ValueError) as error:
            counts.append(0)
            notes.append(f"{name}: {short(error)}")
            continue
        except Exception as error:
            counts.append(0)
            notes.append(f"{name}: {type(error).__name__}: {short(error)}")
            continue
        counts.append(len(report.swapped))
        heard = max(heard, len(report.swapped) + len(report.kept))
        why = Counter(report.kept.values())
        notes += [f"{name}: {number} {reason}" for reason, number in why.items() if name == mechanism]
        if report.unseen and name == "softmax":
            notes.append(f"{len(report.unseen)} with code of their own ({short(swapping.listed(report.unseen[:1]))})")
        swapping.unswap(model)
    return Line(kind, heard, counts[0], counts[1], "; ".join(notes))


def repeats(model: Any, example: Any) -> float:
    """How far two runs of one call are apart."""
    with quiet(model):
        a = outputs(model, example)
        torch.manual_seed(0)
        b = outputs(model, example)
    return max((float((a[name] - b[name]).abs().nan_to_num().max()) for name in a if a[name].numel()), default=0.0)


def short(error: Any, most: int = 150) -> str:
    """The first line of an error, shortened for a table; a path on this machine is cut to its last part."""
    text = re.sub(r"(?<![\w.])/(?:[\w.-]+/)+", "…/", str(error).strip().split("\n")[0].replace("|", "/"))
    return text if len(text) <= most else text[: most - 1] + "…"


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Within the block neither warnings nor prints nor transformers' logging are shown."""
    from transformers.utils import logging as shown

    logging: Any = shown
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(before)


def kinds() -> list[str]:
    """All model types of transformers that have a base model."""
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    known = set(MODEL_MAPPING.keys())
    return sorted(kind for kind in CONFIG_MAPPING.keys() if CONFIG_MAPPING[kind] in known)  # noqa: SIM118 - a lazy mapping


def table(lines: Sequence[Line], mechanism: str) -> str:
    """The lines as a table in Markdown."""
    rows = [("model type", "attentions", "softmax", mechanism, "note")]
    rows += [(x.kind, str(x.attentions), str(x.softmax), str(x.mechanism), x.note) for x in lines]
    marks = "|".join("-" * 3 for _ in rows[0])
    return (
        "\n".join([f"| {' | '.join(rows[0])} |", f"|{marks}|", *(f"| {' | '.join(row)} |" for row in rows[1:])]) + "\n"
    )


def summary(lines: Sequence[Line], mechanism: str) -> str:
    """How many types do what."""
    tried = [x for x in lines if x.attentions]
    whole = sum(x.softmax == x.attentions for x in tried)
    some, every = sum(0 < x.mechanism < x.attentions for x in tried), sum(x.mechanism == x.attentions for x in tried)
    return (
        f"{len(lines)} types: in {len(tried)} attention was caught; softmax proves equal in every attention of {whole},"
        f" {mechanism} takes every attention of {every} and some of {some}\n"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Scan, print a line per type, and a summary."""
    parser = argparse.ArgumentParser(
        prog="python -m regard.adapters.scan", description="Which model types can be swapped."
    )
    parser.add_argument("kinds", nargs="*", metavar="TYPE", help="model types; default all")
    parser.add_argument("--mechanism", default="smyrf")
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help=f"put the table into FILE, between {BEGIN} and {END}"
    )
    options = parser.parse_args(arguments)
    there = kinds()
    if unknown := sorted(set(options.kinds) - set(there)):
        print(f"scan: there is no model type {', '.join(unknown)}", file=sys.stderr)
        return 2
    try:
        swapping.check_function(options.mechanism)
    except ValueError as error:
        print(f"scan: {error}", file=sys.stderr)
        return 2
    if options.write is not None:
        text = options.write.read_text(encoding="utf-8")
        if BEGIN not in text or END not in text:
            print(f"scan: {options.write} has no lines {BEGIN} and {END} to put the table between", file=sys.stderr)
            return 2
    lines = []
    for kind in options.kinds or there:
        line = scan(kind, options.mechanism)
        lines.append(line)
        print(f"{line.kind:32} {line.attentions:3} {line.softmax:3} {line.mechanism:3}  {line.note}", flush=True)
        gc.collect()
    print(summary(lines, options.mechanism), end="")
    if options.write is not None:
        before, rest = text.split(BEGIN)
        after = rest.split(END)[1]
        made = f"{summary(lines, options.mechanism)}\n{table(lines, options.mechanism)}"
        options.write.write_text(f"{before}{BEGIN}\n{made}{END}{after}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How fast is inference, and what does it hold? The four mechanisms in turns, one layer or a whole model, in float32 or int8, on one thread.

All four have the fused kernel of torch. int8 is dynamic quantisation, the edge case: every linear map has weights of 8 bits, and its inputs are
rounded as they come. W^A multiplies from the left and is no map of a token, so that it stays float32.
"""

import functools
import io
import itertools
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from projects.better_attention.fresh import in_a_fresh_process
from projects.better_attention.model import Encoder, attention_layer, tokens_of
from projects.better_attention.model import check as check_model
from projects.better_attention.project import FOUR, Config, Data, Inference, Model
from regard import cost
from regard.bench.memory import peak_of
from regard_lab.measured import Measured

ROUND_S = 0.01  # how long one timed round should last: long against the clock, short against what else the machine does
TWIN, FLOAT32 = "softmax twin", "softmax in float32"
WARM_UP = 32  # tokens of a first run in a fresh process, which loads kernels
PRECISIONS = ("float32", "int8")
PARTS = ("layer", "model")
Call = Callable[[], object]


def measure(config: Config, folder: Path) -> Measured:
    """Least time of a call (ms), its ratio to softmax attention, that of the FLOPs, weights as a file (MiB) and the peak of memory (MiB).

    `speedup` is over softmax attention in the same precision and `speedup_float32` over it in float32, both timed in the same turns, which all
    rows of this size and seed share. The row of softmax is such a layer against itself. `peak_mib` is what a call holds at the most beyond weights
    and inputs, in a fresh process.
    """
    what = config.inference
    assert what is not None
    name = config.model.attention
    sizes = replace(config.model, attention="softmax")
    found = timed(config.data, sizes, what, config.budget.repeats, config.seed)
    own = found[TWIN if name == "softmax" else name]
    subject = built(config.data, config.model, what)
    flops = flops_of(config.data, config.model, what) / flops_of(config.data, sizes, what)
    return Measured(
        metrics={
            "time_ms": 1e3 * own,
            "speedup": found["softmax"] / own,
            "speedup_float32": found[FLOAT32 if what.precision == "int8" else "softmax"] / own,
            "flop_ratio": flops,
            "weights_mib": file_mib(subject),
            "peak_mib": peak_mib(config.data, config.model, what),
        }
    )


def timed(data: Data, sizes: Model, what: Inference, repeats: int, seed: int) -> dict[str, float]:
    """Seconds of a call of each mechanism, of softmax attention twice, and at int8 of softmax attention in float32; once a process for all rows.

    Turns go round until there are `repeats` or `seconds` are over, one round at the least, and each keeps its least disturbed round: other work
    on the machine can only make a round longer.
    """
    return _timed(repr((data, sizes, what, repeats, seed)), lambda: _turns(data, sizes, what, repeats, seed))


_FOUND: dict[str, dict[str, float]] = {}


def _timed(key: str, measure_now: Callable[[], dict[str, float]]) -> dict[str, float]:
    if key not in _FOUND:
        _FOUND[key] = measure_now()
    return _FOUND[key]


def _turns(data: Data, sizes: Model, what: Inference, repeats: int, seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    x = inputs(data, sizes, what)
    calls: dict[str, Call] = {
        name: functools.partial(built(data, replace(sizes, attention=name), what), x) for name in FOUR
    }
    calls[TWIN] = functools.partial(built(data, sizes, what), x)
    if what.precision == "int8":
        calls[FLOAT32] = functools.partial(built(data, sizes, replace(what, precision="float32")), x)
    return in_turns(calls, repeats, what.seconds)


@torch.inference_mode()
def in_turns(calls: Mapping[str, Call], repeats: int, seconds: float) -> dict[str, float]:
    """The least seconds a call over rounds in turns: `repeats` of them, or as many as fit into `seconds`, and one at the least."""
    first = {name: seconds_of(call, 1) for name, call in calls.items()}  # the warm-up too
    again = max(1, round(ROUND_S / max(min(first.values()), 1e-7)))
    number = max(1, round(ROUND_S / seconds_of(next(iter(calls.values())), min(again, 5))))
    least = dict.fromkeys(calls, float("inf"))
    begin = time.perf_counter()
    for done in itertools.count(1):
        for name, call in calls.items():
            least[name] = min(least[name], seconds_of(call, number))
        if done >= repeats or time.perf_counter() - begin > seconds:
            return least
    raise AssertionError("a count does not end")


def seconds_of(call: Call, number: int) -> float:
    """Seconds a call, over `number` calls in a row."""
    begin = time.perf_counter()
    for _ in range(number):
        call()
    return (time.perf_counter() - begin) / number


def built(data: Data, model: Model, what: Inference) -> nn.Module:
    """The layer or the model in evaluation mode and in the wanted precision."""
    subject: nn.Module = attention_layer(model, tokens_of(data)) if what.part == "layer" else Encoder(data, model)
    subject.eval()
    return quantised(subject) if what.precision == "int8" else subject


def quantised(module: nn.Module) -> nn.Module:
    """A copy with dynamic int8 maps, W^A left out."""
    maps = {
        name: torch.ao.quantization.default_dynamic_qconfig
        for name, part in module.named_modules()
        if isinstance(part, nn.Linear) and name.rpartition(".")[2] != "mixing"
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch.ao moves to a package of its own, which is not here
        return torch.ao.quantization.quantize_dynamic(module, maps)


def inputs(data: Data, model: Model, what: Inference) -> Tensor:
    """Random inputs: (batch, length, w) for a layer, (batch, length) words without padding for a model."""
    size = (what.batch, tokens_of(data))
    if what.part == "layer":
        return torch.randn(*size, model.width)
    assert data.vocabulary is not None
    return torch.randint(2, data.vocabulary, size)


def flops_of(data: Data, model: Model, what: Inference) -> int:
    """FLOPs of one input by formula, 2 a multiply-add: the attention layers, and in a model its dense layers."""
    n = tokens_of(data)
    layer = cost.flops(model.attention, width=model.width, heads=model.heads, n=n)
    if what.part == "layer":
        return layer
    feed = [model.width, *model.hidden, *([] if model.norm == "pre" else [model.width])]
    head = [model.width, *model.head, 1 if data.classes == 2 else data.classes]
    return model.blocks * (layer + n * products(feed)) + products(head)


def products(widths: list[int]) -> int:
    """FLOPs of dense layers of these widths for one token."""
    return sum(2 * before * after for before, after in itertools.pairwise(widths))


def file_mib(module: nn.Module) -> float:
    """The weights as `torch.save` writes them, in MiB."""
    buffer = io.BytesIO()
    torch.save(module.state_dict(), buffer)
    return buffer.tell() / 2**20


def peak_mib(data: Data, model: Model, what: Inference) -> float:
    """What a call holds at the most, in a fresh process; measured once a process of the table for all seeds."""
    key = repr((data, model, what))
    return _timed(key, lambda: {"peak": in_a_fresh_process(held, data, model, what)})["peak"]


def held(data: Data, model: Model, what: Inference) -> float:
    """In this process: a call on few tokens, then the peak of one on all of them (MiB)."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        for length in (min(WARM_UP, tokens_of(data)), tokens_of(data)):
            sized = replace(data, length=length)
            subject, x = built(sized, model, what), inputs(sized, model, what)
            peak = peak_of(functools.partial(subject, x))
    return peak.extra_mib


def check(config: Config) -> None:
    """Raises ValueError or TypeError for what cannot be timed."""
    what = config.inference
    assert what is not None
    choices = {"part": (what.part, PARTS), "precision": (what.precision, PRECISIONS)}
    for key, (value, known) in choices.items():
        if value not in known:
            raise ValueError(f"inference.{key} must be one of {', '.join(known)}, got {value!r}")
    if what.batch < 1:
        raise ValueError(f"inference.batch must be at least 1, got {what.batch}")
    if what.seconds <= 0:
        raise ValueError(f"inference.seconds must be positive, got {what.seconds}")
    if config.data.length is None or config.data.vocabulary is None:
        raise ValueError(f"inference is of texts: data set {config.data.name} needs length and vocabulary")
    check_model(config)

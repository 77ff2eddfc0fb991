"""How fast is inference, and what does it hold? The four mechanisms in turns: one layer or a whole model, on one thread or on a GPU, or that model on
the edge (`edge.py`): with int8 maps, or in ONNX Runtime.

All four have the fused kernel of torch, but in ONNX Runtime. All rows of one size and seed read the same run, an artefact.
"""

import functools
import io
import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from projects.better_attention.config import FOUR, Config, Data, Inference, Model
from projects.better_attention.edge import OnnxModel, quantised
from projects.better_attention.fresh import in_a_fresh_process
from projects.better_attention.model import Encoder, attention_layer, tokens_of
from projects.better_attention.model import check as check_model
from regard import cost
from regard.bench.memory import peak_of
from regard.bench.timing import elapsed_s
from regard_lab.common import files
from regard_lab.common.errors import UserError
from regard_lab.experiment.artefacts import artefact
from regard_lab.experiment.run_result import RunResult

ROUND_S = 0.01  # how long one timed round should last: long against the clock, short against what else the machine does
TWIN, FLOAT32 = "softmax twin", "softmax in float32"
EDGE = ("int8", "onnx")
GPU = "_gpu"  # ends the name of a part that is timed there
PARTS = ("layer", "model", f"layer{GPU}", f"model{GPU}", *EDGE)
FOUND = "found.json"
MECHANISMS = [f"regard.mechanisms.{name}" for name in FOUR]  # reached by name
Call = Callable[[], object]
Subject = Callable[[Tensor], object]


@dataclass(frozen=True)
class Run:
    """One size of everything; `model.attention` counts for nothing."""

    data: Data
    model: Model
    inference: Inference
    repeats: int
    seed: int

    def of(self, attention: str, part: str | None = None) -> "Run":
        """The same with a mechanism, and another part if one is given."""
        inference = self.inference if part is None else replace(self.inference, part=part)
        return replace(self, model=replace(self.model, attention=attention), inference=inference)


def measure(config: Config, folder: Path) -> RunResult:
    """Least time of a call (ms), its ratios to softmax attention's, that of FLOPs, the weights as a file (MiB), the peak of memory (MiB).

    `speedup` is over the same with softmax attention, `speedup_float32` over that in torch's float32, which differs on the edge alone. The row of
    softmax attention is it against itself. `peak_mib` is what a call holds at the most beyond weights and inputs, in a fresh process.
    """
    assert config.inference is not None
    if config.inference.part.endswith(GPU) and not torch.cuda.is_available():
        raise UserError(
            f"inference.part {config.inference.part} is timed on a GPU, and torch finds none on this machine"
        )
    name = config.model.attention
    run = Run(
        config.data, replace(config.model, attention="softmax"), config.inference, config.budget.repeats, config.seed
    )
    made = artefact(run_all, run, [], source=config.data.source, root=Path.cwd(), modules=MECHANISMS)
    once = replace(run, repeats=0, seed=0)  # memory is the same for every seed
    peaks = artefact(run_peaks, once, [], source=config.data.source, root=Path.cwd(), modules=MECHANISMS)
    found = files.read_json(made / FOUND)
    time_s = found["time_s"]
    own = time_s[TWIN if name == "softmax" else name]
    return RunResult(
        metrics={
            "time_ms": 1e3 * own,
            "speedup": time_s["softmax"] / own,
            "speedup_float32": time_s.get(FLOAT32, time_s["softmax"]) / own,
            "flop_ratio": flops_of(run.of(name)) / flops_of(run),
            "weights_mib": found["weights_mib"][name],
            "peak_mib": files.read_json(peaks / FOUND)[name],
        }
    )


def run_all(run: Run, folder: Path) -> None:
    """Times (s) and weights (MiB) of every mechanism, by name."""
    torch.manual_seed(run.seed)
    subjects = {name: built(run.of(name)) for name in FOUR}
    timed = {**subjects, TWIN: built(run.of("softmax"))}
    if run.inference.part in EDGE:
        timed[FLOAT32] = built(run.of("softmax", "model"))
    x = inputs(run)
    with torch.inference_mode():
        for subject in timed.values():
            subject(x[:1])
        time_s = in_turns(
            {name: functools.partial(subject, x) for name, subject in timed.items()},
            run.repeats,
            run.inference.seconds,
        )
    files.write_json(
        folder / FOUND,
        {
            "time_s": time_s,
            "weights_mib": {name: file_mib(subject) for name, subject in subjects.items()},
        },
    )


def run_peaks(run: Run, folder: Path) -> None:
    """The peak of memory (MiB) with every mechanism, by name."""
    files.write_json(folder / FOUND, {name: in_a_fresh_process(held_mib, run.of(name)) for name in FOUR})


def in_turns(
    calls: Mapping[str, Call], repeats: int, seconds: float, timed: Callable[[Call], float] = elapsed_s
) -> dict[str, float]:
    """The least seconds a call over rounds in turns, as many as `repeats` or as fit into `seconds`, one at the least.

    A round is as many calls as `ROUND_S` holds. Other work on the machine can only make it longer, so each call keeps its least disturbed round.
    """
    least = {name: timed(call) for name, call in calls.items()}
    number = max(1, round(ROUND_S / max(min(least.values()), 1e-9)))
    spent = sum(least.values())
    for _ in range(repeats - (number == 1)):  # the first calls were a whole round if one call is one
        if spent >= seconds:
            break
        for name, call in calls.items():
            round_s = timed(lambda call=call: [call() for _ in range(number)])
            least[name] = min(least[name], round_s / number)
            spent += round_s
    return least


def built(run: Run) -> Subject:
    """The layer or the model of a run's mechanism, in evaluation mode, where it is timed."""
    part = run.inference.part
    if kind_of(part) == "layer":
        return attention_layer(run.model, tokens_of(run.data)).eval().to(device_of(part))
    model = Encoder(run.data, run.model).eval().to(device_of(part))
    if part == "onnx":
        return OnnxModel(model, inputs(run)[:1])
    return quantised(model) if part == "int8" else model


def kind_of(part: str) -> str:
    """Is it a layer or a model that is timed?"""
    return "layer" if part.removesuffix(GPU) == "layer" else "model"


def device_of(part: str) -> str:
    return "cuda" if part.endswith(GPU) else "cpu"


def inputs(run: Run) -> Tensor:
    """Random inputs: (batch, length, w) for a layer, (batch, length) words without padding for a model."""
    size = (run.inference.batch, tokens_of(run.data))
    part = run.inference.part
    if kind_of(part) == "layer":
        return torch.randn(*size, run.model.width).to(device_of(part))
    assert run.data.vocabulary is not None
    return torch.randint(2, run.data.vocabulary, size).to(device_of(part))


def flops_of(run: Run) -> int:
    """FLOPs of one input by formula, 2 a multiply-add: the attention layers, and in a model its dense layers."""
    data, model, n = run.data, run.model, tokens_of(run.data)
    layer = cost.flops(model.attention, width=model.width, heads=model.heads, n=n)
    if kind_of(run.inference.part) == "layer":
        return layer
    feed = [model.width, *model.hidden, *([] if model.norm == "pre" else [model.width])]
    head = [model.width, *model.head, 1 if data.classes == 2 else data.classes]
    return model.blocks * (layer + n * dense_flops(feed)) + dense_flops(head)


def dense_flops(widths: list[int]) -> int:
    """FLOPs of dense layers of these widths for one token."""
    return sum(2 * before * after for before, after in itertools.pairwise(widths))


def file_mib(subject: Subject) -> float:
    """The weights as a file, in MiB: as `torch.save` writes them, or the whole graph of ONNX."""
    if isinstance(subject, OnnxModel):
        return len(subject.bytes) / 2**20
    assert isinstance(subject, nn.Module)
    buffer = io.BytesIO()
    torch.save(subject.state_dict(), buffer)
    return buffer.tell() / 2**20


def held_mib(run: Run) -> float:
    """In this process: a call on one input, which loads kernels, then the peak of one on all of them."""
    torch.set_num_threads(1)
    torch.manual_seed(run.seed)
    subject, x = built(run), inputs(run)
    with torch.inference_mode():
        subject(x[:1])
        return peak_of(functools.partial(subject, x)).extra_mib


def check(config: Config) -> None:
    """Raises ValueError or TypeError for what cannot be timed."""
    what = config.inference
    assert what is not None
    if what.part not in PARTS:
        raise ValueError(f"inference.part must be one of {', '.join(PARTS)}, got {what.part!r}")
    if what.batch < 1:
        raise ValueError(f"inference.batch must be at least 1, got {what.batch}")
    if what.seconds <= 0:
        raise ValueError(f"inference.seconds must be positive, got {what.seconds}")
    if config.data.length is None or config.data.vocabulary is None:
        raise ValueError(f"inference is of texts: data set {config.data.name} needs length and vocabulary")
    check_model(config)

"""How fast is inference, and how much memory does it take? The four mechanisms in turns: one layer or a whole model, on
one thread or on a GPU, or that model as small devices run it (`onnx_int8.py`).

All four use torch's fused kernel, except in ONNX Runtime. All rows of one size and seed read the same run, an artefact.
"""

import functools
import io
import itertools
import multiprocessing
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from projects.better_attention.analyses.onnx_int8 import OnnxModel, quantised
from projects.better_attention.config import FOUR, Config, Data, Inference, Model, Part, tokens_of
from projects.better_attention.models.encoder import Encoder
from projects.better_attention.models.layers import attention_layer
from regard import cost
from regard.bench.memory import peak_of
from regard.bench.timing import elapsed_s
from regard_lab.common import files
from regard_lab.common.errors import UserError
from regard_lab.experiment.artefacts import artefact
from regard_lab.experiment.run_result import RunResult

ROUND_S = 0.01  # how long one timed round should last: long against the clock, short against what else the machine does
TWIN, FLOAT32 = "softmax twin", "softmax in float32"
INT8_ONNX = ("int8", "onnx")
GPU = "_gpu"  # ends the name of a part that is timed there
MEASURED = "measured.json"
MECHANISMS = [f"regard.mechanisms.{name}" for name in FOUR]  # reached by name
Call = Callable[[], object]
Subject = Callable[[Tensor], object]


@dataclass(frozen=True)
class Run:
    """One size of everything that is timed in turns, whatever `model.attention` is."""

    data: Data
    model: Model
    inference: Inference
    repeats: int
    seed: int

    def of(self, attention: str, part: Part | None = None) -> "Run":
        """The same with a mechanism, and with another part if one is given."""
        inference = self.inference if part is None else replace(self.inference, part=part)
        return replace(self, model=replace(self.model, attention=attention), inference=inference)


def measure(config: Config, folder: Path) -> RunResult:
    """Least time of a call (ms), its ratios to softmax attention's, that of FLOPs, the weights as a file (MiB), the peak of memory (MiB).

    `speedup` is over the same with softmax attention, `speedup_float32` over softmax attention in torch's float32,
    which differs in `int8` and `onnx` alone. The row of softmax attention compares it with itself. `peak_mib` is the
    most that a call holds beyond weights and inputs, in a process in which nothing ran before.

    Args:
        config: With the section `inference`.
        folder: Not used: what is measured is an artefact, which the rows of a size share.

    Raises:
        UserError: The part is timed on a GPU, and there is none.
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
    times = artefact(run_all, run, [], source=config.data.source, root=Path.cwd(), modules=MECHANISMS)
    once = replace(run, repeats=0, seed=0)  # memory is the same for every seed
    peaks = artefact(run_peaks, once, [], source=config.data.source, root=Path.cwd(), modules=MECHANISMS)
    measured = files.read_json(times / MEASURED)
    time_s = measured["time_s"]
    own = time_s[TWIN if name == "softmax" else name]
    return RunResult(
        metrics={
            "time_ms": 1e3 * own,
            "speedup": time_s["softmax"] / own,
            "speedup_float32": time_s.get(FLOAT32, time_s["softmax"]) / own,
            "flop_ratio": flops_of(run.of(name)) / flops_of(run),
            "weights_mib": measured["weights_mib"][name],
            "peak_mib": files.read_json(peaks / MEASURED)[name],
        }
    )


def run_all(run: Run, folder: Path) -> None:
    """Times (s) and weights (MiB) of every mechanism, by name."""
    torch.manual_seed(run.seed)
    subjects = {name: built(run.of(name)) for name in FOUR}
    timed = {**subjects, TWIN: built(run.of("softmax"))}
    if run.inference.part in INT8_ONNX:
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
        folder / MEASURED,
        {
            "time_s": time_s,
            "weights_mib": {name: file_mib(subject) for name, subject in subjects.items()},
        },
    )


def run_peaks(run: Run, folder: Path) -> None:
    """The peak of memory (MiB) with every mechanism, by name."""
    files.write_json(folder / MEASURED, {name: in_isolated_process(peak_mib, run.of(name)) for name in FOUR})


def in_turns(
    calls: Mapping[str, Call], repeats: int, seconds: float, timed: Callable[[Call], float] = elapsed_s
) -> dict[str, float]:
    """Time calls in turns, round by round.

    A round is as many calls as fit into `ROUND_S`. Other work on the machine can only make it longer, so each call keeps its least disturbed round.

    Args:
        calls: What is timed, by name.
        repeats: How many rounds at most.
        seconds: After how much time, in all, no further round is started; the first one is always run.
        timed: Measures the seconds that one call takes.

    Returns:
        The least seconds per call, by name.
    """
    least = {name: timed(call) for name, call in calls.items()}
    number = max(1, round(ROUND_S / max(min(least.values()), 1e-9)))
    spent = sum(least.values())
    for _ in range(repeats - (number == 1)):  # the first calls were a whole round if one call is one
        if spent >= seconds:
            break
        for name, call in calls.items():
            round_s = timed(functools.partial(repeated, call, number))
            least[name] = min(least[name], round_s / number)
            spent += round_s
    return least


def repeated(call: Call, number: int) -> None:
    """`number` calls, one after the other."""
    for _ in range(number):
        call()


def built(run: Run) -> Subject:
    """The layer or the model of a run's mechanism, in evaluation mode, on the device where it is timed."""
    part, model = run.inference.part, run.model
    if kind_of(part) == "layer":
        layer = attention_layer(model.attention, width=model.width, heads=model.heads, length=tokens_of(run.data))
        return layer.eval().to(device_of(part))
    encoder = Encoder(run.data, model).eval().to(device_of(part))
    if part == "onnx":
        return OnnxModel(encoder, inputs(run)[:1])
    return quantised(encoder) if part == "int8" else encoder


def kind_of(part: str) -> str:
    """Is it a `layer` or a `model` that is timed?"""
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
    """FLOPs of one input by formula, 2 per multiply-add: the attention layers, and in a model its dense layers."""
    data, model, n = run.data, run.model, tokens_of(run.data)
    layer = cost.flops(model.attention, width=model.width, heads=model.heads, n=n)
    if kind_of(run.inference.part) == "layer":
        return layer
    feed_forward = [model.width, *model.hidden, *([] if model.norm == "pre" else [model.width])]
    head = [model.width, *model.head, 1 if data.classes == 2 else data.classes]
    return model.blocks * (layer + n * dense_flops(feed_forward)) + dense_flops(head)


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


def peak_mib(run: Run) -> float:
    """In this process: a call on one input, which loads kernels, then the peak of one on all of them."""
    torch.set_num_threads(1)
    torch.manual_seed(run.seed)
    subject, x = built(run), inputs(run)
    with torch.inference_mode():
        subject(x[:1])
        return peak_of(functools.partial(subject, x)).extra_mib


def in_isolated_process(function: Callable[..., float], *arguments: Any, timeout_s: float = 600.0) -> float:
    """A function's value from a process in which nothing ran before, so that what is in memory there is its own.

    Args:
        function: Must be picklable; its errors are passed on.
        arguments: Must be picklable too.
        timeout_s: How long the call may take.
    """
    # Not forked from the fork server: there is one per process, and whoever started it chose its modules and its path.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result(timeout=timeout_s)

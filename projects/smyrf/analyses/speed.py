"""Table `speed`: seconds of a BERT layer, of twelve, or of attention alone, with SMYRF and with dense attention by the fused kernel.

All settings of one size are timed in one run, in turns, and each keeps its least round: whatever slows the machine down
slows all of them, and other work can only make a round longer. The run is an artefact that the cells of that size
share.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from projects.smyrf.config import Speed
from regard import cost
from regard.adapters import huggingface
from regard.bench.timing import elapsed_s
from regard.registry import build
from regard_lab.common import files
from regard_lab.experiment.artefacts import artefact
from regard_lab.experiment.run_result import RunResult

if TYPE_CHECKING:
    from projects.smyrf.config import Config

MECHANISMS = ("regard.mechanisms.smyrf", "regard.mechanisms.softmax")  # reached by name
WARM_UP = 512  # tokens of a first run, which loads kernels
TIMES = "times.json"
LAYERS = 12  # of BERT-base


@dataclass(frozen=True)
class TimingRun:
    """A size, and the seed of inputs, weights and directions."""

    speed: Speed
    seed: int


def measure(config: Config, folder: Path) -> RunResult:
    """`time_s` per pass; `speedup`, dense over own time in the same run; `score_memory`, score entries in % of the dense ones."""
    section, attention = config.speed, config.attention
    assert section is not None
    run = TimingRun(section, config.seed)
    folder = artefact(time_all, run, [], source=config.data.source, root=Path.cwd(), modules=MECHANISMS)
    times = files.read_json(folder / TIMES)
    smyrf = attention.name == "smyrf"
    own = times[name_of(attention.rounds, attention.cluster_size) if smyrf else "dense"]
    options = {"rounds": attention.rounds, "cluster_size": attention.cluster_size} if smyrf else {}
    return RunResult(
        metrics={
            "time_s": own,
            "speedup": times["dense"] / own,
            "score_memory": 100 * cost.score_memory(attention.name, n=section.tokens, **options),
        }
    )


def name_of(rounds: int, cluster_size: int) -> str:
    """The name of a setting in a run's times."""
    return f"{rounds}x{cluster_size}"


def time_all(run: TimingRun, folder: Path) -> None:
    """The least time of each setting, in seconds, by name; one thread."""
    warm_up = TimingRun(replace(run.speed, tokens=min(run.speed.tokens, WARM_UP), rounds=1), run.seed)
    in_turns(calls_of(warm_up), 1, 0.0)
    times = in_turns(calls_of(run), run.speed.rounds, run.speed.enough_s)
    files.write_json(folder / TIMES, {name: min(own) for name, own in times.items()})


def in_turns(
    calls: Mapping[str, Callable[[], object]], rounds: int, enough_s: float, timed: Callable[..., float] = elapsed_s
) -> dict[str, list[float]]:
    """Time calls in turns: a round of every call that needs more, then the next round.

    Args:
        calls: By name.
        rounds: Times of each call at most.
        enough_s: A call needs no more once its times take this many seconds together.
        timed: The clock, in seconds.

    Returns:
        The times of each call, at least one.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    while unfinished := [name for name, own in times.items() if not own or (len(own) < rounds and sum(own) < enough_s)]:
        for name in unfinished:
            times[name].append(timed(calls[name]))
    return times


def calls_of(run: TimingRun) -> dict[str, Callable[[], object]]:
    """One pass of each setting of the grid and of dense attention, ready to be called; all have the same weights and input."""
    speed = run.speed
    torch.manual_seed(run.seed)
    x = torch.randn(speed.batch, speed.tokens, speed.width)
    make = {"bert": bert_layers, "encoder": bert_layers, "layer": attention_layer}[speed.part]
    settings: dict[str, tuple[str, dict[str, Any]]] = {"dense": ("softmax", {})}
    for rounds, cluster_size in speed.grid:
        settings[name_of(rounds, cluster_size)] = ("smyrf", {"rounds": rounds, "cluster_size": cluster_size})
    modules = {name: make(speed, mechanism, run.seed, options) for name, (mechanism, options) in settings.items()}
    return {name: one_pass(module, x, speed.backward) for name, module in modules.items()}


def one_pass(module: nn.Module, x: Tensor, backward: bool) -> Callable[[], object]:
    """Forward, or forward and backward to every parameter and the input."""
    if not backward:

        def forward() -> object:
            with torch.inference_mode():
                return module(x)

        return forward
    x = x.detach().requires_grad_()
    wanted = [x, *module.parameters()]

    def forward_backward() -> object:
        out: Tensor = module(x)
        return torch.autograd.grad(out, wanted, torch.ones_like(out), allow_unused=True)

    return forward_backward


def attention_layer(speed: Speed, mechanism: str, seed: int, options: dict[str, Any]) -> nn.Module:
    """Attention with its four projections."""
    torch.manual_seed(seed)
    layer: nn.Module = build(mechanism, width=speed.width, heads=speed.heads, **options)
    return layer.eval()


class BertLayers(nn.Module):
    """Layers of transformers' BERT, one after the other: x (b, n, w) -> (b, n, w). Weights are drawn: time does not depend on them."""

    def __init__(self, speed: Speed, number: int) -> None:
        from transformers import BertConfig
        from transformers.models.bert.modeling_bert import BertLayer as Layer

        super().__init__()
        self.config = BertConfig(
            hidden_size=speed.width,
            num_attention_heads=speed.heads,
            intermediate_size=4 * speed.width,
            num_hidden_layers=number,
            attention_probs_dropout_prob=0.0,
            hidden_dropout_prob=0.0,
        )
        self.layers = nn.ModuleList(
            Layer(self.config, layer_idx=i)  # type: ignore[no-untyped-call]
            for i in range(number)
        )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            out = layer(x)
            x = out[0] if isinstance(out, tuple) else out
        return x


def bert_layers(speed: Speed, mechanism: str, seed: int, options: dict[str, Any]) -> nn.Module:
    """BERT's layers, one or twelve, with their own attention by the fused kernel, or with SMYRF by the adapter."""
    huggingface.register()
    torch.manual_seed(seed)
    layers = BertLayers(speed, LAYERS if speed.part == "encoder" else 1).eval()
    layers.config._attn_implementation = "sdpa" if mechanism == "softmax" else f"regard-{mechanism}"
    if options:
        huggingface.configure(layers, seed=seed, **options)
    return layers

"""What can be measured: a mechanism, in one of its forms, at one length; `prepare` makes it ready to be called.

Mechanisms are measured on split heads, `mix` on q, k, v (b, h, n, d), against `scaled_dot_product_attention`. Those
that drop a projection (Optimised, Efficient, Super, S4D) are measured as whole layers on x (b, n, w), against a layer
of softmax attention: what they save is not in `mix`.
"""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from regard.attention import Attention
from regard.common.patterns import Pattern, is_causal, is_cross
from regard.loading import BadRequest, find_class, key_and_value, load_file

FUSED, LIBRARY, PLAIN = "fused", "library", "plain"
DTYPES = ("float32", "float64", "bfloat16", "float16")


@dataclass(frozen=True)
class Case:
    """A mechanism in a form, at a length.

    Args:
        mechanism: As `regard.loading.find_class` takes it.
        form: "library", the fast function; "plain", the definition; "fused", softmax attention by torch's kernel; or
            path/to/file.py:function, a peer on split heads.
        level: "mix" or "layer".
        pattern: The attention pattern.
        options: The layer's, as "rounds=2 cluster_size=32". Default: "".
        backward: Forward and backward? Default: False.
        dtype: "float32" and so on. Default: "float32".
        device: "cpu", "cuda", … Default: "cpu".
        batch: Batch size. Default: 1.
        heads: Number of heads. Default: 8.
        head_width: Width d of a head. Default: 64.
        n: Length; 0 stands for the case without a length. Default: 0.
    """

    mechanism: str
    form: str
    level: str
    pattern: Pattern
    options: str = ""
    backward: bool = False
    dtype: str = "float32"
    device: str = "cpu"
    batch: int = 1
    heads: int = 8
    head_width: int = 64
    n: int = 0

    @property
    def kind(self) -> "Case":
        """The same case without a length: what is constant along a row of a table."""
        return replace(self, n=0)

    @property
    def baseline(self) -> "Case":
        """What the case is measured against: softmax attention by the fused kernel, on split heads or as a layer."""
        form = FUSED if self.level == "mix" else LIBRARY
        return replace(self, mechanism="softmax", form=form, options="")

    def __str__(self) -> str:
        """For people: defaults are left out."""
        where = " layer" if self.level == "layer" else ""
        return f"{self.mechanism}{where} {self.options}".rstrip() + ("" if self.form == LIBRARY else f" ({self.form})")


NAMES = tuple(field.name for field in fields(Case))


def kinds_of(
    mechanism: str, base: Case, *, options: Sequence[str] | None = None, peers: Sequence[str] = ()
) -> list[Case]:
    """A mechanism's cases without a length: library and plain form, and peers, for each of its settings.

    Args:
        mechanism: As `regard.loading.find_class` takes it.
        base: Gives pattern, sizes and dtype.
        options: One setting, as ["rounds=2"]. Default: None, the class's `bench_options`.
        peers: Other forms, path/to/file.py:function. Default: none.

    Returns:
        The cases.
    """
    cls = find_class_once(mechanism)
    level = "mix" if getattr(cls, "maps", Attention.maps) == Attention.maps else "layer"
    levels = ("mix", "layer") if mechanism == "softmax" else (level,)
    settings = getattr(cls, "bench_options", ("",)) if options is None else (" ".join(options),)
    return [
        replace(base, mechanism=mechanism, form=form, level=level, options=setting)
        for setting in settings
        for level in levels
        for form in (LIBRARY, PLAIN, *(peers if level == "mix" else ()))
    ]


class Inputs:
    """Unit-variance inputs of one size, drawn once from a fixed seed.

    All cases that are measured together share them.
    """

    def __init__(self, case: Case) -> None:
        self.case = case

    @functools.cached_property
    def heads(self) -> tuple[Tensor, Tensor, Tensor]:
        """q, k and v, (b, h, n, d) each."""
        return self._draw(1), self._draw(2), self._draw(3)

    @functools.cached_property
    def x(self) -> Tensor:
        """A layer's input (b, n, w)."""
        return self._draw(4).transpose(1, 2).flatten(2)

    def _draw(self, seed: int) -> Tensor:
        case = self.case
        generator = torch.Generator(case.device).manual_seed(seed)
        size = (case.batch, case.heads, case.n, case.head_width)
        drawn = torch.randn(size, generator=generator, device=case.device, dtype=getattr(torch, case.dtype))
        return drawn.requires_grad_(case.backward)


def prepare(case: Case, inputs: Inputs) -> Callable[[], object]:
    """Make a case ready; everything that is not part of the measurement is done here.

    Args:
        case: What to run.
        inputs: Shared by all cases that are measured together.

    Returns:
        A call without arguments.

    Raises:
        ValueError: Options that the mechanism or the peer refuses, in its own words.
        TypeError: The same, for types.
    """
    function, arguments, parameters = _ready(case, inputs)
    if not case.backward:

        def forward() -> object:
            with torch.no_grad():
                return function(*arguments)

        return forward
    wanted = [each for each in (*arguments, *parameters) if each.requires_grad]
    grad = torch.ones_like(inputs.x if case.level == "layer" else inputs.heads[0])

    def forward_backward() -> object:
        out = function(*arguments)
        return torch.autograd.grad(out, wanted, grad.reshape(out.shape), allow_unused=True)

    return forward_backward


def _ready(case: Case, inputs: Inputs) -> tuple[Callable[..., Tensor], tuple[Tensor, ...], list[Tensor]]:
    """A function on tensors, those tensors, and the parameters that it reads."""
    if case.form == FUSED:
        causal = is_causal(case.pattern) and not is_cross(case.pattern)
        return functools.partial(F.scaled_dot_product_attention, is_causal=causal), inputs.heads, []
    layer = build_layer(case)
    parameters = list(layer.parameters())
    if case.level == "layer":
        if case.form == PLAIN:
            layer.mix = layer.naive
        elif case.form != LIBRARY:
            raise ValueError(f"a peer is measured on split heads, {case.mechanism} as a layer")
        return layer, (inputs.x, inputs.x) if layer.cross else (inputs.x,), parameters
    if case.form not in (LIBRARY, PLAIN):
        peer = load_function(case.form)
        return functools.partial(peer, **peer_options(peer, case, layer)), inputs.heads, parameters
    mix = layer.naive if case.form == PLAIN else layer.mix
    also: dict[str, Any] = {"query_mask": None} if layer.needs_query_mask else {}
    if layer.needs_input:
        also["x"] = inputs.x
    return functools.partial(_mixed, mix, also), inputs.heads, parameters


def _mixed(mix: Callable[..., Tensor], also: Mapping[str, Any], q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return mix(q, k, v, None, **also)


def build_layer(case: Case) -> Any:
    """The layer of a case, in evaluation mode, with the same weights each time.

    `length` and `horizon`, where a constructor asks for them, are n.

    Args:
        case: What to build.

    Returns:
        The layer.
    """
    cls = find_class_once(case.mechanism)
    options = parsed_options(case.options)
    for name in {"length", "horizon"} & set(inspect.signature(cls).parameters):
        options.setdefault(name, case.n)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = cls(width=case.heads * case.head_width, heads=case.heads, pattern=case.pattern, **options)
    return layer.to(device=case.device, dtype=getattr(torch, case.dtype)).eval()


def parsed_options(text: str) -> dict[str, Any]:
    """ "rounds=2 cluster_size=32" -> {"rounds": 2, "cluster_size": 32}."""
    return dict(map(key_and_value, text.split()))


def peer_options(peer: Callable[..., Any], case: Case, layer: Any) -> dict[str, Any]:
    """A peer's keyword arguments.

    Options of the case, else attributes of the layer of that name (`directions`, `window`, `causal`).
    """
    given = parsed_options(case.options)
    options: dict[str, Any] = {}
    for name, parameter in inspect.signature(peer).parameters.items():
        if parameter.kind is not parameter.KEYWORD_ONLY:
            continue
        if name in given:
            options[name] = given[name]
        elif hasattr(layer, name):
            options[name] = getattr(layer, name)
        elif parameter.default is parameter.empty:
            raise BadRequest(
                f"{case.form} needs {name!r}, which is neither an option nor an attribute of {case.mechanism}"
            )
    return options


@functools.cache
def find_class_once(target: str) -> Any:
    """`find_class`; a user's file runs once."""
    return find_class(target)


@functools.cache
def load_function(target: str) -> Callable[..., Tensor]:
    """The function of path/to/file.py:function. Raises BadRequest if there is none."""
    place, _, name = target.rpartition(":")
    function = getattr(load_file(Path(place)), name, None)
    if not callable(function):
        raise BadRequest(f"{place} has no function {name!r}")
    return function  # type: ignore[no-any-return]

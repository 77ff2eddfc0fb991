"""A device far from the CPU, for machines without a GPU: what runs on it computes real numbers, and what mixes it with the CPU is an error.

    with far_device(monkeypatch):                     # `best_device()` is `FAR` now
        evaluate(task, batches)                       # raises `MixedDevices` if a tensor was left on the CPU

torch's `meta` device lends its name. A tensor there is a `FarTensor`, which holds the tensor that it stands for; a mode
sees every operation, refuses those that CUDA would refuse, and runs the others on what is held. As on CUDA, tensors
without dimensions and indices may come from the CPU.
"""

import contextlib
import copy
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_flatten, tree_map

from regard_lab.training import trainer

FAR = torch.device("meta")
# Operations that CUDA refuses when a training asks for the same bits every time: those of
# `torch.use_deterministic_algorithms`, as torch lists them, by the names that a mode sees.
NOT_DETERMINISTIC = {
    *(f"aten::{name}_backward" for name in ("avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d")),
    *(f"aten::{name}_backward" for name in ("max_pool3d_with_indices", "adaptive_max_pool2d")),
    *(f"aten::{name}_backward" for name in ("fractional_max_pool2d", "fractional_max_pool3d")),
    *(f"aten::upsample_{name}_backward" for name in ("linear1d", "bilinear2d", "bicubic2d", "trilinear3d")),
    *(f"aten::reflection_pad{n}d_backward" for n in (1, 2, 3)),
    *(f"aten::replication_pad{n}d_backward" for n in (1, 2, 3)),
    *(f"aten::grid_sampler_{n}d_backward" for n in (2, 3)),
    *("aten::max_unpool2d", "aten::max_unpool3d", "aten::nll_loss2d_forward", "aten::_ctc_loss_backward"),
    *("aten::put_", "aten::histc", "aten::kthvalue", "aten::median.dim", "aten::cumsum"),
}
INDEXED = ("aten::index.Tensor", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_")
MOVES = ("aten::_to_copy", "aten::copy_")


class MixedDevices(RuntimeError):
    """An operation has met tensors of the CPU and of the far device."""


class FarTensor(Tensor):
    """A tensor on the far device. `near` is what it stands for."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor) -> "FarTensor":
        far = Tensor._make_wrapper_subclass(
            cls,
            near.shape,
            strides=near.stride(),
            storage_offset=near.storage_offset(),
            dtype=near.dtype,
            device=FAR,
            requires_grad=False,
        )
        far.near = near
        return far

    def numpy(self, **_: Any) -> Any:
        raise MixedDevices("numpy() of a tensor that is not on the CPU")

    def __deepcopy__(self, memo: Any) -> "FarTensor":
        return FarTensor(self.near.detach().clone())

    def __reduce_ex__(self, protocol: Any) -> Any:
        return self.near.__reduce_ex__(protocol)  # saved as what it stands for

    def tolist(self) -> Any:
        return self.near.tolist()

    def __repr__(self, **_: Any) -> str:
        return f"FarTensor({self.near!r})"

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with FarMode():
            return function(*args, **(kwargs or {}))


class FarMode(TorchDispatchMode):
    """Runs operations on what far tensors stand for. `seen` are the names of all operations, `far` is how many were of far tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.far = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = function.name()
        if name != "aten::cumsum" or args[0].is_floating_point():  # sums of whole numbers are the same in any order
            self.seen.add(name)
        leaves = tree_flatten((args, kwargs))[0]
        far = any(isinstance(leaf, FarTensor) for leaf in leaves)
        self.far += far
        target = kwargs.get("device")
        to_far = target is not None and torch.device(target).type == FAR.type
        if target is not None and to_far:
            kwargs["device"] = torch.device("cpu")
        if not name.startswith(MOVES):
            plain = args[:1] if name.startswith(INDEXED) else (args, kwargs)
            near = [
                leaf
                for leaf in tree_flatten(plain)[0]
                if isinstance(leaf, Tensor) and not isinstance(leaf, FarTensor) and leaf.ndim
            ]
            if far and near:
                raise MixedDevices(f"{name} of far tensors and of one on the CPU, of shape {tuple(near[0].shape)}")
        results = function(*tree_map(_near, args), **tree_map(_near, kwargs))
        if name.startswith("aten::copy_"):
            return args[0]
        stays_far = to_far or (far and not (name.startswith("aten::_to_copy") and target is not None))
        if not stays_far:
            return results
        held = {id(leaf.near): leaf for leaf in leaves if isinstance(leaf, FarTensor)}
        return tree_map(lambda x: held.get(id(x), FarTensor(x)) if isinstance(x, Tensor) else x, results)


class FarGenerator(torch.Generator):
    """A generator of either device."""

    def __new__(cls, device: Any = "cpu") -> "FarGenerator":
        return super().__new__(cls, device="cpu")


def _near(x: Any) -> Any:
    return x.near if isinstance(x, FarTensor) else x


@contextmanager
def far_device(monkeypatch: pytest.MonkeyPatch) -> Iterator[FarMode]:
    """Within the block the best device is the far one, for whatever has imported `best_device`."""
    for module in list(sys.modules.values()):
        if getattr(module, "__name__", "").startswith(("projects.", "regard_lab.")) and hasattr(module, "best_device"):
            monkeypatch.setattr(module, "best_device", lambda **_: FAR)
    monkeypatch.setattr(torch, "Generator", FarGenerator)
    monkeypatch.setattr(torch, "tensor", _tensor)
    monkeypatch.setattr(torch.inference_mode, "__enter__", _enter_inference)
    monkeypatch.setattr(torch.inference_mode, "__exit__", _exit_inference)
    # A module's parameters are replaced by those on the other device, as tensor subclasses ask for.
    monkeypatch.setattr(torch.nn.Module, "_apply", _apply)
    with FarMode() as mode:
        yield mode


_made = torch.tensor


def _tensor(values: Any, *, device: Any = None, **options: Any) -> Tensor:
    """`torch.tensor`, which no mode sees."""
    made = _made(values, **options)
    return made if device is None else made.to(device)


def _enter_inference(context: Any) -> None:
    """Inference as `no_grad`: torch gives tensors of inference no subclass."""
    context.far = torch.no_grad() if context.mode else contextlib.nullcontext()
    context.far.__enter__()


def _exit_inference(context: Any, *error: Any) -> None:
    context.far.__exit__(*error)


def _apply(module: torch.nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> torch.nn.Module:
    """`Module._apply`, which is behind `to`, `double` and the like, with new parameters in the place of changed ones."""
    for part in module.modules() if recurse else [module]:
        for name, parameter in list(part._parameters.items()):
            if parameter is not None:
                value = change(parameter.detach())
                part._parameters[name] = torch.nn.Parameter(value, requires_grad=parameter.requires_grad)
        for name, buffer in list(part._buffers.items()):
            if buffer is not None:
                part._buffers[name] = change(buffer)
    return module


def run_far(run: Callable[[Any, Path], Any], config: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Run a cell as on a machine with a GPU: a step of every training, then whatever follows the training, on the far device.

    Lightning moves models and batches by itself, so the training as a whole stays on the CPU.

    Returns:
        The operations of the steps that CUDA has no deterministic form of.
    """
    steps: set[str] = set()
    trained = trainer._fit

    def fit(task: trainer.Task, train: Any, *others: Any) -> Any:
        far = copy.deepcopy(task)
        far.to(FAR).train()
        batch = tuple(tensor.to(FAR) for tensor in next(iter(train)))
        torch.use_deterministic_algorithms(True)  # as Lightning asks for
        mode.seen.clear()
        far.score(far.model, batch)["loss"].backward()
        steps.update(mode.seen)
        mode.far = 0
        with _disable_current_modes():
            return trained(task, train, *others)

    monkeypatch.setattr(trainer, "_fit", fit)
    with far_device(monkeypatch) as mode:
        run(config, folder)
    assert steps
    assert mode.far > 0, "what follows the training has stayed on the CPU"
    return steps & NOT_DETERMINISTIC

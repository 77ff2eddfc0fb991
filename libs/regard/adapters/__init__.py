"""Regard in models that were written without it: `torch_modules` for torch's own attention, `huggingface` for transformers.

Both are imported on first use; transformers itself not before a function of `huggingface` needs it.
"""

import importlib
from typing import Any

MODULES = ("huggingface", "torch_modules")


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return importlib.import_module(f"regard.adapters.{name}")
    raise AttributeError(f"module 'regard.adapters' has no attribute {name!r}; it has {', '.join(MODULES)}")


def __dir__() -> list[str]:
    return sorted(MODULES)

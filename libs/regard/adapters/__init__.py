"""Regard in models that were written without it: torch's own attention, and Hugging Face transformers.

Both are imported on first use; transformers itself is imported only when a function of `huggingface` needs it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regard.adapters import huggingface, torch_modules

__all__ = ["huggingface", "torch_modules"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return importlib.import_module(f"regard.adapters.{name}")
        raise AttributeError(f"module 'regard.adapters' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)

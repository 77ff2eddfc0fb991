"""Pre-trained models by name, wherever they come from: a package (`regard_lab.models`), the Hugging Face hub, or a folder."""

from pathlib import Path
from typing import Any

import torch

from regard_lab import data, models
from regard_lab.common.errors import DataMissing, UserError


def pretrained(checkpoint: str, root: Path) -> Any:
    """The model, in evaluation mode and float32; one of a package is fetched if it is not there. `DataMissing` for one that is not to be had."""
    if checkpoint in models.names():
        _fetch(checkpoint, root)
        return models.load(checkpoint, root)
    return from_transformers("AutoModel", checkpoint, dtype=torch.float32).eval()


def tokenizer_of(checkpoint: str, root: Path) -> Any:
    """The tokenizer that belongs to it."""
    if checkpoint in models.names():
        _fetch(checkpoint, root)
        return models.load_tokenizer(checkpoint, root)
    return from_transformers("AutoTokenizer", checkpoint)


def _fetch(name: str, root: Path) -> None:
    with data.alone(root / "data"):  # two processes that need it at once fetch it once
        models.fetch(name, root)


def from_transformers(kind: str, checkpoint: str, **options: Any) -> Any:
    """`transformers.<kind>.from_pretrained`, its many errors as one sentence: `DataMissing`, or `UserError` for a package that is not there."""
    import transformers

    try:
        return getattr(transformers, kind).from_pretrained(checkpoint, **options)
    except ImportError as error:
        raise UserError(f"{checkpoint} needs a package that is not there ({error})") from error
    except (
        OSError,
        ValueError,
        KeyError,
    ) as error:  # what transformers raises for no network, no such name, a folder without the files
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise DataMissing(
            f"{checkpoint} could not be loaded as {kind} ({said}); it is none of {', '.join(models.names())}: name a folder that holds it, or"
            " connect to the Hugging Face hub"
        ) from error

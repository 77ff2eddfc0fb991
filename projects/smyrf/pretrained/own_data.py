"""A user's own inputs: a folder of texts or pictures, or a file with a text a line."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from projects.smyrf.pretrained.checkpoints import Checkpoint
from projects.smyrf.pretrained.inputs import pixels
from regard_lab.common.errors import UserError

PICTURES = (".png", ".jpg", ".jpeg")
MOST_TOKENS = 1024  # of a text, where neither the user nor the model says fewer


def inputs_from(checkpoint: Checkpoint, place: Path, examples: int, tokens: int | None) -> list[Tensor]:
    """The first `examples` inputs there, in the order of their names, ready for the model; `UserError` if there are none."""
    if not place.exists():
        raise UserError(f"data={place} is neither a folder nor a file")
    if checkpoint.kind == "image":
        return [picture(checkpoint, path) for path in files_in(place, PICTURES)[:examples]]
    if tokens is not None and checkpoint.most_tokens is not None and tokens > checkpoint.most_tokens:
        raise UserError(f"{checkpoint.name} has positions for {checkpoint.most_tokens} tokens, got tokens={tokens}")
    most = tokens or min(checkpoint.most_tokens or MOST_TOKENS, MOST_TOKENS)
    least = 2 if checkpoint.kind == "causal" else 1  # a next token needs one before it
    rows: list[Tensor] = []
    for text in texts_in(place):
        ids = checkpoint.tokenizer(text, truncation=True, max_length=most)["input_ids"]
        if len(ids) >= least:
            rows.append(torch.tensor([ids]))
        if len(rows) == examples:
            break
    if not rows:
        raise UserError(f"there is no text in {place}")
    return rows


def texts_in(place: Path) -> Iterator[str]:
    """A file's lines, or the whole content of each .txt of a folder; empty ones are passed over."""
    found = (
        place.read_text(encoding="utf-8").splitlines()
        if place.is_file()
        else map(whole_text, files_in(place, (".txt",)))
    )
    try:
        yield from (text for text in found if text.strip())
    except UnicodeDecodeError as error:
        raise UserError(f"a text in {place} is not UTF-8: {error}") from None


def whole_text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def files_in(place: Path, endings: tuple[str, ...]) -> list[Path]:
    """The files with these endings, by name; `UserError` if there is none."""
    found = sorted(
        path for path in ([place] if place.is_file() else place.rglob("*")) if path.suffix.lower() in endings
    )
    if not found:
        raise UserError(f"{place} holds no {' or '.join(endings)} file")
    return found


def picture(checkpoint: Checkpoint, path: Path) -> Tensor:
    """A picture at the size that the model was trained for, its shorter side cut out of the middle."""
    try:
        with Image.open(path) as opened:
            image = opened.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{path} is not a picture that can be read ({error})") from None
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = np.asarray(image.crop((left, top, left + side, top + side)))
    size = getattr(checkpoint.model.config, "image_size", 224)
    return pixels(torch.from_numpy(square.copy()), size if isinstance(size, int) else size[0])

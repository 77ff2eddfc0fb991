"""A split, written as the data set writes it and read back."""

from pathlib import Path
from typing import Any


def round_trip(form: Any, folder: Path, split: str) -> Any:
    for name, content in form.files(split).items():
        (folder / name).write_bytes(content)
    return type(form).read(folder, split)

"""The Hugging Face hub as a source; its client is imported only here and only when asked for.

Where a machine has no network, the environment variable REGARD_HUB_FOLDER names a folder with copies of the hub's
repositories, `<folder>/stanfordnlp/imdb`, as `hf download stanfordnlp/imdb --repo-type dataset --local-dir
<folder>/stanfordnlp/imdb` makes them. The same client reads them.
"""

import importlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from regard_lab.common.errors import DataMissing

LIMIT_S = 30
FOLDER = "REGARD_HUB_FOLDER"
CONVERTED = (
    "refs/convert/parquet"  # the branch where the hub keeps parquet files of a set whose own repository is a script
)


def load_hub(path: str, config: str | None = None, *, converted: Sequence[str] = ()) -> Any:
    """The `DatasetDict` of a hub data set.

    Args:
        path: The repository, such as "nyu-mll/glue".
        config: The name of one of its configurations.
        converted: Splits to read from the hub's own conversion to parquet, for a repository that is a script, which the
            client no longer runs. Such a set needs a `config`.

    Raises:
        DataMissing: The client or the network is missing, in one sentence.
    """
    return _asked(path, lambda datasets, where: datasets.load_dataset(**_arguments(where, config, converted)))


def stream_hub(
    path: str, split: str, config: str | None = None, *, converted: bool = False, undecoded: Sequence[str] = ()
) -> Iterator[dict[str, Any]]:
    """The rows of one split, one at a time: only files whose rows are used are fetched, and none is kept.

    Args:
        path: The repository.
        split: The name of the split.
        config: The name of one of its configurations.
        converted: Whether to read the hub's own conversion to parquet, see `load_hub`.
        undecoded: Columns of sound to leave as `{"bytes", "path"}`.

    Raises:
        DataMissing: The client or the network is missing, in one sentence; or the network fails on the way.
    """

    def open_split(datasets: Any, where: str) -> Iterator[dict[str, Any]]:
        arguments = _arguments(where, config, (split,) if converted else ())
        rows = datasets.load_dataset(**arguments, split=split, streaming=True)
        for column in undecoded:
            rows = rows.cast_column(column, datasets.Audio(decode=False))
        return iter(rows)

    rows = _asked(path, open_split)
    while (row := _asked(path, lambda *_: next(rows, None), ask_first=False)) is not None:
        yield row


def _arguments(where: str, config: str | None, converted: Sequence[str]) -> dict[str, Any]:
    if not converted:
        return {"path": where, "name": config}
    base = (
        f"{where}/{config}"
        if Path(where).is_absolute()
        else f"hf://datasets/{where}@{CONVERTED.replace('/', '%2F')}/{config}"
    )
    return {"path": "parquet", "data_files": {split: f"{base}/{split}/*.parquet" for split in converted}}


def _asked(path: str, ask: Callable[[Any, str], Any], ask_first: bool = True) -> Any:
    """The client's answer; any failure becomes a `DataMissing`."""
    try:
        datasets, hub = importlib.import_module("datasets"), importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise DataMissing(
            f"the hub's data set {path} needs the `datasets` package ({error}): pip install 'regard[hub]'"
        ) from error
    if folder := os.environ.get(FOLDER):
        copy = Path(folder).resolve() / path
        if not copy.is_dir():
            raise DataMissing(
                f"{FOLDER} has no copy of the hub's data set {path}: `hf download {path} --repo-type dataset --local-dir {copy}`"
            )
    try:
        if ask_first and not folder and not hub.is_offline_mode():
            # Fails at once without a network, where `load_dataset` tries six times.
            hub.dataset_info(path, timeout=LIMIT_S)
        return ask(datasets, str(copy) if folder else path)
    except Exception as error:  # the client passes on errors of four libraries that have no class in common
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise DataMissing(
            f"the hub's data set {path} could not be fetched ({reason}); connect to the Hugging Face hub and run again,"
            f" set HF_HUB_OFFLINE=1 if it was fetched before, name a folder of copies in {FOLDER}, or use another --source"
        ) from error

"""The Hugging Face hub as a source; its client is imported only here and only when asked for."""

import importlib
from typing import Any

from regard_lab.common.errors import DataMissing

LIMIT_S = 30


def load_hub(path: str, config: str | None = None) -> Any:
    """The `DatasetDict` of a hub data set; without the client or the network, `DataMissing` in one sentence."""
    try:
        datasets, hub = importlib.import_module("datasets"), importlib.import_module("huggingface_hub")
    except ImportError as error:
        raise DataMissing(
            f"the hub's data set {path} needs the `datasets` package ({error}): pip install 'regard[hub]'"
        ) from error
    try:
        if not hub.is_offline_mode():
            # Fails at once without a network, where `load_dataset` tries six times.
            hub.dataset_info(path, timeout=LIMIT_S)
        return datasets.load_dataset(path, config)
    except Exception as error:  # the client passes on errors of four libraries that have no class in common
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise DataMissing(
            f"the hub's data set {path} could not be fetched ({reason}); connect to the Hugging Face hub and run again,"
            " set HF_HUB_OFFLINE=1 if it was fetched before, or use another --source"
        ) from error

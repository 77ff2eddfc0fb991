"""A hub that answers from memory."""

import sys
import types

import pytest


class FakeHub(types.ModuleType):
    """Stands in for `datasets` and for the hub's client."""

    def __init__(self, halves: object = None, error: Exception | None = None, offline: bool = False) -> None:
        super().__init__("fake")
        self.halves, self.error, self.offline, self.asked = halves, error, offline, []

    def load_dataset(self, path: str, name: str | None) -> object:
        self.asked.append(path)
        return self.halves

    def is_offline_mode(self) -> bool:
        return self.offline

    def dataset_info(self, path: str, timeout: float) -> None:
        if self.error:
            raise self.error

    def install(self, monkeypatch: pytest.MonkeyPatch) -> "FakeHub":
        monkeypatch.setitem(sys.modules, "datasets", self)
        monkeypatch.setitem(sys.modules, "huggingface_hub", self)
        return self

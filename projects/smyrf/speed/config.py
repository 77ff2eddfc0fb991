"""The section of a config that the tables `speed` and `memory` use. Imports no torch."""

from dataclasses import dataclass
from typing import Any

PARTS = ("bert", "layer")


@dataclass
class Speed:
    """One size at which attention is measured.

    `part`: `bert`, a whole BERT layer (attention, feed-forward part, norms), or `layer`, attention with its four maps alone. `backward`: with
    the backward pass. `grid`: the SMYRF settings, rounds and cluster size, that are timed in the same run as dense attention, in turns, each until
    its rounds have taken `enough_s` seconds together, and `rounds` times at most. `kernel`: `fused`, or `unfused`, dense attention that holds its
    score matrix. `batch_tokens`: a batch holds as many sequences as make up these tokens, and at least one.
    """

    part: str
    backward: bool
    width: int
    heads: int
    tokens: int
    batch_tokens: int
    grid: list[list[int]]
    rounds: int
    enough_s: float
    kernel: str

    @property
    def batch(self) -> int:
        """Sequences a batch."""
        return max(1, self.batch_tokens // self.tokens)


def check(section: Speed, config: Any) -> None:
    """Raises ValueError, with the numbers, for a section that cannot run."""
    if section.part not in PARTS:
        raise ValueError(f"speed.part must be one of {', '.join(PARTS)}, got {section.part!r}")
    if section.kernel not in (known := ("fused", "unfused")):
        raise ValueError(f"speed.kernel must be one of {', '.join(known)}, got {section.kernel!r}")
    for name in ("width", "heads", "tokens", "rounds"):
        if (value := getattr(section, name)) < 1:
            raise ValueError(f"speed.{name} must be at least 1, got {value}")
    if section.width % section.heads:
        raise ValueError(f"heads must divide the width, got width = {section.width} and heads = {section.heads}")
    setting = [config.attention.rounds, config.attention.cluster_size]
    if config.attention.name == "smyrf" and section.grid and setting not in section.grid:
        raise ValueError(f"{setting[0]} × {setting[1]} is not in speed.grid, whose settings are timed together")

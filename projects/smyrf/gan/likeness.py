"""How like the pictures of a swapped generator are to those that the same latents give with dense attention."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

Batches = Iterable[tuple[Tensor, Tensor]]


class Likeness:
    """Gathers while pictures pass: a score takes them from `passing`, and the means are there when it has had them all."""

    def __init__(self) -> None:
        self._distances: list[Tensor] = []
        self._similarities: list[Tensor] = []

    def passing(self, pictures: Batches, originals: Batches) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of `pictures` as they are, each compared with its like."""
        for (one, labels), (other, _) in zip(pictures, originals, strict=True):
            self._distances.append((one - other).abs().mean((1, 2, 3)))
            self._similarities.append(
                structural_similarity_index_measure(one, other, data_range=2.0, reduction="none").flatten()  # type: ignore[union-attr]
            )
            yield one, labels

    def means(self) -> dict[str, float]:
        """pixel_distance, the mean absolute difference in % of the range from black to white; similarity, the structural one, 1 for the same."""
        distance, similarity = (
            float(torch.cat(values).double().mean()) for values in (self._distances, self._similarities)
        )
        return {"pixel_distance": 50 * distance, "similarity": similarity}

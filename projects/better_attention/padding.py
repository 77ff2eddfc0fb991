"""The padding trap of W^A: does what a model says of a text depend on how far the text is padded?

W^A mixes values along the tokens before the scores do, so the mask of the scores comes too late to keep padding out. A model is trained on texts
padded to one length, as usual, and then reads the test texts padded and unpadded: nothing may change.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from projects.better_attention.config import Config
from projects.better_attention.data import PADDING
from projects.better_attention.learning import fitted
from projects.better_attention.train import score
from regard_lab.experiment.run_result import RunResult


def measure(config: Config, folder: Path) -> RunResult:
    """`changed_predictions`: test texts (%) of which the model says something else once their padding is cut off; accuracies (%) with and without."""
    done = fitted(config, folder, score, "validation_accuracy", "max", ("validation_accuracy",))
    tokens, labels = done.test
    padded, cut = positive(done.model, tokens), positive_unpadded(done.model, tokens)
    return RunResult(
        metrics={
            "padded_texts": 100 * float((tokens == PADDING).any(1).float().mean()),
            "test_accuracy": 100 * float((padded == labels).float().mean()),
            "unpadded_test_accuracy": 100 * float((cut == labels).float().mean()),
            "changed_predictions": 100 * float((padded != cut).float().mean()),
        },
        curves=done.curves,
    )


@torch.inference_mode()
def positive(model: nn.Module, tokens: Tensor) -> Tensor:
    """Which texts (n, length) the model calls positive, (n,) boolean."""
    model.eval()
    device = next(model.parameters()).device
    return (model(tokens.to(device)).squeeze(-1) > 0).cpu()


def positive_unpadded(model: nn.Module, tokens: Tensor) -> Tensor:
    """The same, each text cut to its own words (at least one token)."""
    lengths = (tokens != PADDING).sum(1).clamp(min=1)
    said = torch.zeros(len(tokens), dtype=torch.bool)
    for length in lengths.unique().tolist():
        own = lengths == length
        said[own] = positive(model, tokens[own, :length])
    return said

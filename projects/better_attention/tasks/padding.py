"""The padding trap of W^A: does a model's answer depend on how far the text is padded?

W^A mixes values along the tokens before the scores do, so the mask of the scores comes too late to keep padding out. A
model is trained on texts padded to one length, as usual, and then reads the test texts padded and unpadded: nothing may
change.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from projects.better_attention.config import Config
from projects.better_attention.data.labelled import PADDING
from projects.better_attention.tasks.classification import train_encoder
from regard_lab.experiment.run_result import RunResult


def train(config: Config, folder: Path) -> RunResult:
    """Train the configured encoder and let it read the test texts with and without their padding.

    `changed_predictions` is the share of test texts (%) whose predicted class changes once their padding is cut off;
    beside it stand the accuracies (%) with and without padding, and the share of texts that have any.
    """
    trained, parts = train_encoder(config, folder)
    tokens, labels = parts["test"]
    padded, unpadded = positive(trained.model, tokens), positive_unpadded(trained.model, tokens)
    return RunResult(
        metrics={
            "padded_texts": 100 * float((tokens == PADDING).any(1).float().mean()),
            "test_accuracy": 100 * float((padded == labels).float().mean()),
            "unpadded_test_accuracy": 100 * float((unpadded == labels).float().mean()),
            "changed_predictions": 100 * float((padded != unpadded).float().mean()),
        },
        curves=trained.curves("validation_accuracy"),
    )


@torch.inference_mode()
def positive(model: nn.Module, tokens: Tensor) -> Tensor:
    """Which texts (n, length) the model calls positive, (n,) boolean."""
    model.eval()
    device = next(model.parameters()).device
    predicted: Tensor = model(tokens.to(device)).squeeze(-1) > 0
    return predicted.cpu()


def positive_unpadded(model: nn.Module, tokens: Tensor) -> Tensor:
    """The same, each text cut to its own words (at least one token)."""
    lengths = (tokens != PADDING).sum(1).clamp(min=1)
    predicted = torch.zeros(len(tokens), dtype=torch.bool)
    for length in torch.unique(lengths).tolist():
        rows = lengths == length
        predicted[rows] = positive(model, tokens[rows, :length])
    return predicted

"""A small causal language model of novels.

Perplexity is per subword, over a novel that training never saw, cut into windows of the context without any text before a window.
"""

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.better_attention.config import Config
from projects.better_attention.data.labelled import subset
from projects.better_attention.data.windows import windows
from projects.better_attention.models.language_model import CausalLanguageModel, cache_bytes_per_token
from projects.better_attention.tasks.rate_search import save, with_chosen_rate
from projects.better_attention.tasks.training import Tensors, train_model
from regard_lab.experiment.items import ItemisedResult
from regard_lab.experiment.run_result import RunResult

EVALUATION_BATCH = 128


def train(config: Config, folder: Path) -> RunResult:
    """`train_once` at the configured learning rate, or at the best of those that are to be searched."""
    if config.search is None:
        return train_once(config, folder)
    return with_chosen_rate(config, config.search, train_to_file)


def train_to_file(config: Config, folder: Path) -> None:
    """`train_once`, its result left in `folder`."""
    save(folder, train_once(config, folder))


def train_once(config: Config, folder: Path) -> ItemisedResult:
    """Train the configured model; its perplexity by the epoch of least validation loss and by the last one, and the
    bytes that its state holds per token (`cache_bytes`). What came out for each test window is its loss.

    Args:
        config: With the section `language_model`.
        folder: Where checkpoints are kept, from which an interrupted run is resumed.
    """
    language_model, budget = config.language_model, config.budget
    assert language_model is not None
    sizes = {"train": budget.train_examples}
    parts: dict[str, Tensors] = {
        split: subset((rows,), sizes.get(split, budget.held_out_examples))
        for split, rows in windows(config.data, Path.cwd()).items()
    }
    trained = train_model(
        config,
        folder,
        lambda: CausalLanguageModel(config.data, config.model, language_model),
        score,
        train=parts["train"],
        validation=parts["validation"],
        batch_size=EVALUATION_BATCH,
    )
    (test,) = parts["test"]
    trained.use("last")
    last = trained.scores(parts["test"])["loss"]
    trained.use("best")
    nats = trained.scores(parts["test"])["loss"]
    return ItemisedResult(
        metrics={
            "test_loss": nats,
            "test_perplexity": math.exp(nats),
            "last_epoch_test_perplexity": math.exp(last),
            "cache_bytes": cache_bytes_per_token(trained.model, test[0, :-1].int()),
            **trained.costs((test[:, :-1].long(),), budget.repeats),
        },
        curves=trained.curves("train_loss", "validation_loss"),
        items={"test_loss": nats_of_windows(trained.model, test)},
    )


def score(model: nn.Module, batch: Tensors) -> dict[str, Tensor]:
    """Nats per subword of windows (b, n + 1)."""
    (window,) = batch
    window = window.long()
    return {"loss": F.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten())}


@torch.inference_mode()
def nats_of_windows(model: nn.Module, windows: Tensor) -> list[float]:
    """The mean nats per subword of each window (n, length + 1), in evaluation mode."""
    model.eval()
    device = next(model.parameters()).device
    nats = []
    for part in torch.split(windows, EVALUATION_BATCH):
        window = part.to(device).long()
        losses = F.cross_entropy(model(window[:, :-1]).flatten(0, 1), window[:, 1:].flatten(), reduction="none")
        nats += losses.view(len(window), -1).double().mean(1).tolist()
    return nats

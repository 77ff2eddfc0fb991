"""Train a classifier once, as an artefact that the cells of all tables share: weights, how well they do, and the texts that are looked at.

subject = subject_of(config, root)         # subject.model, subject.tokens, subject.labels, subject.words, subject.accuracy
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.explaining.bert import Bert, hidden_of
from projects.explaining.config import Config, Data, Model, Training, modules
from projects.explaining.data import Encoded, encoded
from projects.explaining.encoder import Encoder
from projects.explaining.looking import Classifier
from regard_lab.common import files
from regard_lab.experiment.artefacts import artefact
from regard_lab.training.pretrained import pretrained, tokenizer_of
from regard_lab.training.trainer import Task, evaluate, fit, load_weights, loader

EVALUATION_BATCH = 128
MODEL, SCORES = "model.pt", "scores.json"


@dataclass
class Learning:
    """All that decides a trained classifier; what is then looked at is no part of it."""

    data: Data
    model: Model
    training: Training
    seed: int


@dataclass(frozen=True)
class Subject:
    """A classifier in evaluation mode and the test split: tokens (t, m), labels (t); `accuracy` on all of the split, in %."""

    model: Classifier
    tokens: Tensor
    labels: Tensor
    words: list[str]
    accuracy: float
    epochs: list[float]


def subject_of(config: Config, root: Path) -> Subject:
    """The configured classifier, trained if it has not been."""
    learning, folder = learned(config, root)
    part = texts(learning, root)
    classifier = build(learning, root)
    if config.model.weights == "trained":
        classifier.load_state_dict(torch.load(folder / MODEL, weights_only=True), strict=False)
    scores: dict[str, Any] = files.read_json(folder / SCORES)
    tokens, labels = part.splits["test"]
    return Subject(classifier.eval(), tokens, labels, part.words, scores["test_accuracy"], scores["epochs"])


def uniform_accuracy(config: Config, root: Path) -> float:
    """Test accuracy, in %, of the classifier that is trained with even weights in the explained layer."""
    _, folder = learned(replace(config, model=replace(config.model, pooling="uniform")), root)
    accuracy: float = files.read_json(folder / SCORES)["test_accuracy"]
    return accuracy


def learned(config: Config, root: Path) -> tuple[Learning, Path]:
    """The artefact of the configured classifier, made if it is not there."""
    learning = Learning(config.data, config.model, config.training, config.seed)
    sets = [] if config.data.kind == "made" else [config.data.name]
    how = {"source": config.data.source, "root": root, "modules": modules(config)}
    return learning, artefact(train, learning, sets, **how)


def texts(learning: Learning, root: Path) -> Encoded:
    """The texts as tokens; read and encoded once a process."""
    key = repr((learning.data, learning.training, learning.model.vocabulary, learning.model.name, root))
    if key not in _texts:
        reads = tokenizer_of(learning.model.checkpoint, root) if learning.model.name == "bert" else None
        _texts.clear()
        _texts[key] = encoded(learning.data, learning.training, learning.model.vocabulary, root, reads)
    return _texts[key]


_texts: dict[str, Encoded] = {}


def build(learning: Learning, root: Path) -> Classifier:
    """The classifier with the initial weights of its seed."""
    torch.manual_seed(learning.seed)
    if learning.model.name == "encoder":
        return Encoder(learning.data, learning.model)
    model = learning.model
    before = pretrained(model.checkpoint, root)
    return Bert(before, learning.data.classes, uniform=model.pooling == "uniform", frozen=model.frozen)


def train(learning: Learning, folder: Path) -> None:
    """Leaves the weights that were trained (of the epoch of best validation accuracy) and the scores on the test split in `folder`."""
    model = build(learning, Path.cwd())
    parts = texts(learning, Path.cwd()).splits
    frozen = learning.model.name == "bert" and learning.model.frozen
    if frozen:  # what frozen layers give is computed once
        parts = {name: (hidden_of(model, tokens), tokens != 0, labels) for name, (tokens, labels) in parts.items()}  # type: ignore[misc]
    model.train()  # a pre-trained one comes in evaluation mode
    task = Task(model, score_hidden if frozen else score, partial(optimiser, training=learning.training))
    epochs: list[float] = []
    if learning.model.weights == "trained":
        history = fit(
            task,
            loader(parts["train"], learning.training.batch_size, seed=learning.seed),
            loader(parts["validation"], EVALUATION_BATCH),
            epochs=learning.training.epochs,
            seed=learning.seed,
            folder=folder,
            trainer_options={"log_every_n_steps": 1},
        )
        load_weights(task, folder, "best")
        epochs = [epoch["validation_accuracy"] for epoch in history.epochs]
    test = evaluate(task, loader(parts["test"], EVALUATION_BATCH))
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    torch.save({name: tensor for name, tensor in model.state_dict().items() if name in trained}, folder / MODEL)
    files.write_json(folder / SCORES, {"test_accuracy": test["accuracy"], "epochs": epochs})


def score(model: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    """Cross entropy (nats) and accuracy (%) of a batch of tokens."""
    tokens, labels = batch
    return _scores(model(tokens), labels)


def score_hidden(model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
    """The same of a batch of what the frozen layers gave."""
    hidden, mask, labels = batch
    assert isinstance(model, Classifier)
    return _scores(model.upper(hidden, mask), labels)


def _scores(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    right = 100 * (logits.argmax(-1) == labels).float().mean()
    return {"loss": F.cross_entropy(logits, labels), "accuracy": right}


def optimiser(model: nn.Module, training: Training) -> torch.optim.Optimizer:
    """AdamW on what is not frozen."""
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(learned, lr=training.learning_rate, weight_decay=training.weight_decay)

"""A classifier of texts, trained once as an artefact that the cells of all tables share: weights, accuracy, and the texts that are explained.

trained = trained_classifier(config, root)     # trained.model, trained.tokens, trained.labels, trained.words, trained.accuracy
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from projects.explaining.config import Config, Data, Model, modules
from projects.explaining.data import Encoded, encoded
from projects.explaining.models.bert import Bert
from projects.explaining.models.classifier import Classifier, hidden_of
from projects.explaining.models.encoder import Encoder
from regard_lab.common import files
from regard_lab.experiment.artefacts import artefact
from regard_lab.training.device import best_device
from regard_lab.training.pretrained import pretrained, tokenizer_of
from regard_lab.training.recipe import Training
from regard_lab.training.trainer import Task, evaluate, fit, load_weights, loader

EVALUATION_BATCH = 128
MODEL, SCORES = "model.pt", "scores.json"


@dataclass
class TrainingRun:
    """All that decides a trained classifier; what is then analysed is no part of it."""

    data: Data
    model: Model
    training: Training
    seed: int


@dataclass(frozen=True)
class TrainedClassifier:
    """A classifier in evaluation mode and the test split.

    Attributes:
        model: The classifier, on the best device.
        tokens: `(t, m)`.
        labels: `(t)`.
        words: What each token's number stands for.
        accuracy: On all of the test split, in %.
        epochs: The validation accuracy after each epoch, in %.
    """

    model: Classifier
    tokens: Tensor
    labels: Tensor
    words: list[str]
    accuracy: float
    epochs: list[float]


def trained_classifier(config: Config, root: Path) -> TrainedClassifier:
    """The configured classifier, trained now if it has not been."""
    run = run_of(config)
    folder = classifier_folder(run, config, root)
    texts = load_texts(run, root)
    model = build(run, root)
    if config.model.weights == "trained":
        model.load_state_dict(torch.load(folder / MODEL, map_location="cpu", weights_only=True), strict=False)
    scores: dict[str, Any] = files.read_json(folder / SCORES)
    tokens, labels = texts.splits["test"]
    return TrainedClassifier(
        model.to(best_device(float64=True)).eval(),
        tokens,
        labels,
        texts.words,
        scores["test_accuracy"],
        scores["epochs"],
    )


def uniform_accuracy(config: Config, root: Path) -> float:
    """Test accuracy, in %, of the classifier that is trained with uniform weights in the explained layer."""
    uniform = replace(config, model=replace(config.model, pooling="uniform"))
    accuracy: float = files.read_json(classifier_folder(run_of(uniform), uniform, root) / SCORES)["test_accuracy"]
    return accuracy


def run_of(config: Config) -> TrainingRun:
    """The training of the configured classifier."""
    return TrainingRun(config.data, config.model, config.training, config.seed)


def classifier_folder(run: TrainingRun, config: Config, root: Path) -> Path:
    """Where the weights and scores of a training are; it is run if they are not there."""
    data_sets = [] if run.data.kind == "synthetic" else [run.data.name]
    return artefact(fit_classifier, run, data_sets, source=run.data.source, root=root, modules=modules(config))


def load_texts(run: TrainingRun, root: Path) -> Encoded:
    """The texts as tokens; read and encoded once per process."""
    key = repr((run.data, run.model.vocabulary, run.model.name, run.model.checkpoint, root))
    if key not in _texts:
        tokenizer = tokenizer_of(run.model.checkpoint, root) if run.model.name == "bert" else None
        _texts.clear()
        _texts[key] = encoded(run.data, run.model.vocabulary, root, tokenizer)
    return _texts[key]


_texts: dict[str, Encoded] = {}


def build(run: TrainingRun, root: Path) -> Classifier:
    """The classifier with the initial weights of its seed."""
    torch.manual_seed(run.seed)
    model = run.model
    if model.name == "encoder":
        return Encoder(run.data, model)
    return Bert(
        pretrained(model.checkpoint, root), run.data.classes, uniform=model.pooling == "uniform", frozen=model.frozen
    )


def fit_classifier(run: TrainingRun, folder: Path) -> None:
    """Leave in `folder` the weights of the epoch of best validation accuracy, and the scores on the test split."""
    root = Path.cwd()
    model = build(run, root)
    parts: dict[str, tuple[Tensor, ...]] = dict(load_texts(run, root).splits)
    frozen = run.model.name == "bert" and run.model.frozen
    if frozen:  # what frozen layers give is computed once
        parts = {name: (hidden_of(model, tokens), tokens != 0, labels) for name, (tokens, labels) in parts.items()}
    model.train()  # a pre-trained one comes in evaluation mode
    task = Task(model, score_hidden if frozen else score, run.training)
    epochs: list[float] = []
    if run.model.weights == "trained":
        history = fit(
            task,
            loader(parts["train"], run.training.batch_size, seed=run.seed),
            loader(parts["validation"], EVALUATION_BATCH),
            seed=run.seed,
            folder=folder,
            options={"log_every_n_steps": 1},
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
    """The same for a batch of what the frozen layers gave."""
    hidden, mask, labels = batch
    assert isinstance(model, Classifier)
    return _scores(model.upper(hidden, mask), labels)


def _scores(logits: Tensor, labels: Tensor) -> dict[str, Tensor]:
    right = 100 * (logits.argmax(-1) == labels).float().mean()
    return {"loss": F.cross_entropy(logits, labels), "accuracy": right}

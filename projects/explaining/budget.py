"""What the tables of this project multiply and hold: the trainings of the classifiers, without what is analysed (see `regard_lab.hours`)."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from projects.explaining.config import Config
from regard_lab.hours import Count, Work, cached, count

if TYPE_CHECKING:
    from torch import nn


def works(table: str, cells: Sequence[Config]) -> list[Work]:
    """The training of each classifier, once for all cells that share it, its validation, and its test."""
    done, seen = [], set()
    for config in cells:
        if config.model.name == "pretrained":
            continue
        if (key := repr((config.data, config.model, config.training, config.seed))) in seen:
            continue
        seen.add(key)
        training, data = config.training, config.data
        counted: Count = cached(repr((data, config.model)), partial(counts, config))
        step = counted.forward + counted.backward
        if config.model.weights == "trained":
            done.append(
                Work(
                    "texts, forward and backward",
                    training.epochs * data.train_texts,
                    step,
                    counted.step_memory(training.batch_size),
                )
            )
        done.append(Work("texts, forward", training.epochs * data.validation_texts + data.test_texts, counted.forward))
    return done


def why_not(table: str) -> str | None:
    """Why nothing is counted for a table, in a sentence's end; `None` where works are."""
    return "nothing is trained: pre-trained models read a few texts once" if table == "atlas" else None


def counts(config: Config) -> Count:
    """The classifier on one text."""
    return count(lambda: model_of(config), ((1, config.data.length), "long"))


def model_of(config: Config) -> "nn.Module":
    """The classifier with weights of no value; a pre-trained one has the sizes of its published config.

    Raises:
        UserError: The sizes of the checkpoint are not known here.
    """
    from projects.explaining.models.bert import Bert
    from projects.explaining.models.encoder import Encoder
    from regard_lab.common.errors import UserError

    model = config.model
    if model.name == "encoder":
        return Encoder(config.data, model)
    import transformers

    small: dict[str, Any] = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6}
    sizes: dict[str, dict[str, Any]] = {"bert-base-uncased": {}, "minilm": small}
    if model.checkpoint not in sizes:
        raise UserError(f"the sizes of {model.checkpoint} are not known here; known are {', '.join(sizes)}")
    body = transformers.BertModel(transformers.BertConfig(**sizes[model.checkpoint]), add_pooling_layer=False)
    return Bert(body, config.data.classes, uniform=model.pooling == "uniform", frozen=model.frozen)

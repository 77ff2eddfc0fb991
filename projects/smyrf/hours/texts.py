"""Tables `glue`, `imdb`, `mask_bug`: fine-tuning on texts, and their held-out splits."""

from collections.abc import Iterable
from typing import Any

import torch

from projects.smyrf.config import Attention, Config
from projects.smyrf.hours.counting import counted, once
from projects.smyrf.hours.transformer_models import of_layers, published
from projects.smyrf.hours.work import Work, examples
from projects.smyrf.text.cell import trained_of
from projects.smyrf.text.config import Finetuning
from projects.smyrf.text.model import Classifier


def text_flops(
    tuning: Finetuning, classes: int, attention: Attention, name: str, mask: str | None, *, train: bool
) -> int:
    """One text as long as the cut. With masks in the released order attention runs twice, on what they keep and on what they drop."""

    def count() -> tuple[int, Any]:
        with torch.device("meta"):
            model = Classifier(published(tuning.model), 1, tuning)
            ids = torch.ones(1, tuning.tokens, dtype=torch.long)
        if train:
            return counted(lambda: model(ids, ids).sum().backward()), model.encoder.config
        with torch.no_grad():
            return counted(lambda: model(ids, ids)), model.encoder.config

    rest, config = once((tuning.model, tuning.pool, tuning.tokens, tuning.trained_layers, train), count)
    more_outputs = (classes - 1) * 2 * config.hidden_size
    attended = of_layers(config, tuning.tokens, attention, name) * (2 if mask == "released" else 1)
    return int(rest + (3 if train else 1) * (more_outputs + attended))


def of_texts(cells: Iterable[Config]) -> list[Work]:
    """Tables `glue`, `imdb`, `mask_bug`: trainings, each once however many rows share it, and held-out splits."""
    found, trained = [], set()
    for config in cells:
        text, attention = config.text, config.attention
        assert text is not None
        tuning = text.finetuning
        for task in text.tasks.values():
            if (key := repr(trained_of(config, task))) not in trained:
                trained.add(key)
                rows = tuning.epochs * examples(config, task.data, task.train, tuning.train_examples)
                flops = text_flops(tuning, task.classes, attention, attention.name, text.training_mask, train=True)
                found.append(Work("texts, forward and backward", rows, flops, gpu=True))
            name = text.inference or attention.name
            flops = text_flops(tuning, task.classes, attention, name, text.inference_mask, train=False)
            rows = sum(examples(config, task.data, split, text.held_out_examples) for split in task.held_out.values())
            found.append(Work("texts, forward", rows, flops, gpu=True))
    return found

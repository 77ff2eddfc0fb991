"""Tables `glue`, `imdb`, `mask_bug`: fine-tuning on texts, and their held-out splits."""

from collections.abc import Iterable
from typing import Any

import torch

from projects.smyrf.analyses.compute_budget.transformers import of_layers, published
from projects.smyrf.analyses.compute_budget.work import Work, cached, counted, examples
from projects.smyrf.config import Attention, Config, Encoder
from projects.smyrf.models.text_classifier import Classifier
from projects.smyrf.tasks.text.finetuning import run_of


def text_flops(
    encoder: Encoder, classes: int, attention: Attention, name: str, mask: str | None, *, train: bool
) -> int:
    """One text as long as the cut. With masks in the released order attention runs twice, on what they keep and on what they drop."""

    def count() -> tuple[int, Any]:
        with torch.device("meta"):
            model = Classifier(published(encoder.checkpoint), 1, encoder)
            ids = torch.ones(1, encoder.tokens, dtype=torch.long)
        if train:
            return counted(lambda: model(ids, ids).sum().backward()), model.encoder.config
        with torch.no_grad():
            return counted(lambda: model(ids, ids)), model.encoder.config

    rest, config = cached((encoder.checkpoint, encoder.pool, encoder.tokens, encoder.trained_layers, train), count)
    more_outputs = (classes - 1) * 2 * config.hidden_size
    attended = of_layers(config, encoder.tokens, attention, name) * (2 if mask == "released" else 1)
    return int(rest + (3 if train else 1) * (more_outputs + attended))


def of_texts(cells: Iterable[Config]) -> list[Work]:
    """Tables `glue`, `imdb`, `mask_bug`: trainings, each once however many rows share it, and held-out splits."""
    works, trained = [], set()
    for config in cells:
        text, attention = config.text, config.attention
        assert text is not None
        encoder = text.encoder
        for task in text.tasks.values():
            if (key := repr(run_of(config, task))) not in trained:
                trained.add(key)
                rows = text.training.epochs * examples(config, task.data, task.train, text.train_examples)
                flops = text_flops(encoder, task.classes, attention, attention.name, text.training_mask, train=True)
                works.append(Work("texts, forward and backward", rows, flops, gpu=True))
            name = text.inference or attention.name
            flops = text_flops(encoder, task.classes, attention, name, text.inference_mask, train=False)
            rows = sum(examples(config, task.data, split, text.held_out_examples) for split in task.held_out.values())
            works.append(Work("texts, forward", rows, flops, gpu=True))
    return works

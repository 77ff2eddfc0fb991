"""What the tables of this project multiply and hold: trainings and evaluations of the models that their configs build (see `regard_lab.hours`)."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from projects.better_attention.config import CONTROLS, Config, tokens_of
from regard_lab.hours import Count, Work, attention_difference, cached, count, examples

if TYPE_CHECKING:
    from torch import nn

UNTRAINED = {
    "counts": "its numbers are computed by formula, without any model",
    "break_even": "its numbers are computed by formula, without any model",
    "inference": "its layers are timed for seconds",
}

# Subwords per text, which no card has. OpenWebText: 9,035,582,198 of GPT-2's in 8,013,769 documents, as nanoGPT counts them.
SUBWORDS_PER_TEXT = {"openwebtext": 1_128}


def works(table: str, cells: Sequence[Config]) -> list[Work]:
    """Of each cell a training, its validation after every epoch, and its test: a training that several cells share counts once."""
    if table in UNTRAINED:
        return []
    done, seen = [], set()
    for config in cells:
        if (key := repr((config.data, config.model, config.training, config.budget, config.seed))) not in seen:
            seen.add(key)
            done += of_cell(config)
    return done


def why_not(table: str) -> str | None:
    """Why nothing is counted for a table, in a sentence's end; `None` where works are."""
    return UNTRAINED.get(table)


def of_cell(config: Config) -> list[Work]:
    """One cell."""
    training = config.training
    assert training is not None
    kind, counted = counted_model(config)
    train, validation, test = (sizes(config, split) for split in ("train", "validation", "test"))
    searched = (
        config.translation.beam + 1 if config.translation is not None else 0
    )  # translations by beam search, and greedily
    return [
        Work(
            f"{kind}, forward and backward",
            training.epochs * train,
            counted.forward + counted.backward,
            counted.step_memory(training.batch_size),
        ),
        Work(f"{kind}, forward", training.epochs * validation + (2 + searched) * test, counted.forward),
    ]


def counted_model(config: Config) -> tuple[str, Count]:
    """What an example is, and the counts of one: of a registered mechanism, those of softmax attention and the difference of the formulas."""
    data, model = config.data, config.model
    own = model.attention in CONTROLS
    plain = config if own else replace(config, model=replace(model, attention="softmax"))
    kind, build, shapes = model_of(plain)
    counted: Count = cached(
        repr((plain.data, plain.model, plain.translation, plain.language_model)), lambda: count(build, *shapes)
    )
    if own or model.attention == "softmax":
        return kind, counted
    decoder = 2 * config.translation.decoder_blocks if config.translation is not None else 0
    tokens = data.length if config.language_model or config.translation else tokens_of(data)
    assert tokens is not None
    more = attention_difference(model.attention, model.blocks + decoder, width=model.width, heads=model.heads, n=tokens)
    return kind, replace(counted, forward=counted.forward + more, backward=counted.backward + 2 * more)


def model_of(config: Config) -> "tuple[str, Callable[[], nn.Module], list[tuple[tuple[int, ...], str]]]":
    """What an example is, how the model is built, and the shapes of its inputs."""
    from projects.better_attention.models.encoder import Encoder
    from projects.better_attention.models.language_model import CausalLanguageModel
    from projects.better_attention.models.translator import Translator

    data, model = config.data, config.model
    length: Any = data.length
    if (translation := config.translation) is not None:
        return "pairs", lambda: Translator(data, model, translation), [((1, length), "long")] * 2
    if (language_model := config.language_model) is not None:
        return "windows", lambda: CausalLanguageModel(data, model, language_model), [((1, length), "long")]
    if (side := data.image_size) is None:
        return "texts", lambda: Encoder(data, model), [((1, length), "long")]
    colours = () if data.channels == 1 else (data.channels,)
    return "pictures", lambda: Encoder(data, model), [((1, side, side, *colours), "uint8")]


def sizes(config: Config, split: str) -> int:
    """The examples of a split as the budget cuts them; of running text its windows."""
    data, budget = config.data, config.budget
    most = budget.train_examples if split == "train" else budget.held_out_examples
    whole = examples(data.source, data.name, f"{data.part}_{split}" if data.part else split)
    if config.language_model is not None:
        assert data.length is not None
        whole = whole * SUBWORDS_PER_TEXT.get(data.name, data.length) // data.length
    return whole if most is None else min(whole, most)

"""What relates several keys of a config, checked before any work; what a single key may be stands in the schema."""

import torch

from projects.better_attention.config import Config, Data, Translation, tokens_of
from projects.better_attention.data.lookups import most_keys
from projects.better_attention.models.encoder import Encoder
from projects.better_attention.models.language_model import CausalLanguageModel
from projects.better_attention.models.translator import Translator
from regard_lab.data.subwords import LEAST

# Any training split of ours is smaller; a number of tokens beyond it is a slip in a config.
MOST_TOKENS = 65_536


def check(config: Config) -> None:
    """Refuse what no single key says: values that do not fit each other.

    Raises:
        ValueError: With the numbers in it; the library's own checks speak too, because every layer is built, on the
            meta device.
        TypeError: A mechanism lacks an option that it needs.
    """
    if config.training is None and config.inference is None:
        raise ValueError("a config without the section inference is trained, and needs the section training")
    with torch.device("meta"):  # allocates nothing
        if config.translation is not None:
            _check_translation(config, config.translation)
            Translator(config.data, config.model, config.translation)
        elif config.language_model is not None:
            _check_language_model(config)
            CausalLanguageModel(config.data, config.model, config.language_model)
        else:
            _check_encoder(config)
            Encoder(config.data, config.model)


def _check_encoder(config: Config) -> None:
    data, model = config.data, config.model
    if config.inference is not None and (data.length is None or data.vocabulary is None):
        raise ValueError(
            f"inference is timed on texts: data set {data.name} needs length and vocabulary, got {data.length} and {data.vocabulary}"
        )
    if data.target == "lookup":
        _check_lookups(data)
    if model.pool == "none":
        raise ValueError("an encoder needs model.pool: mean or flatten, got 'none'")
    if model.norm == "pre" and model.hidden[-1:] != [model.width]:
        raise ValueError(f"with norm: pre, model.hidden must end in the width {model.width}, got {model.hidden}")
    if (length := tokens_of(data)) > MOST_TOKENS:
        raise ValueError(f"the number of tokens must be at most {MOST_TOKENS:,}, got {length:,}")


def _check_lookups(data: Data) -> None:
    if data.keys is None or data.planted is None or data.vocabulary is None or data.length is None:
        raise ValueError(
            f"target: lookup needs keys, planted, vocabulary and length, got {data.keys}, {data.planted}, {data.vocabulary} and {data.length}"
        )
    if data.classes != 2:
        raise ValueError(f"target: lookup has two classes, got {data.classes}")
    if data.keys > (most := most_keys(data.vocabulary)):
        raise ValueError(f"a vocabulary of {data.vocabulary} words has words for {most} keys, got {data.keys}")
    if data.planted > min(data.keys, data.length - 1):
        raise ValueError(
            f"planted must exceed neither keys nor length - 1, got {data.planted}, {data.keys} and {data.length} - 1"
        )


def _check_translation(config: Config, translation: Translation) -> None:
    vocabulary, length = _check_subwords(config, norm="post", activation="relu")
    if length < 2:
        raise ValueError(f"data.length must be at least 2 (a subword and an end), got {length}")
    if translation.beam > vocabulary:
        raise ValueError(f"translation.beam must not exceed data.vocabulary, got {translation.beam} and {vocabulary}")


def _check_language_model(config: Config) -> None:
    _check_subwords(config, norm="pre", activation="silu")
    model = config.model
    if model.width % (2 * model.heads):
        raise ValueError(f"rotary positions need an even head width, got {model.width} / {model.heads}")


def _check_subwords(config: Config, *, norm: str, activation: str) -> tuple[int, int]:
    """The vocabulary and length of a model of subwords, once they and its blocks are as they must be."""
    data, model = config.data, config.model
    if data.vocabulary is None or data.length is None:
        raise ValueError(
            f"data set {data.name} must set vocabulary and length, got {data.vocabulary} and {data.length}"
        )
    if data.vocabulary < LEAST:
        raise ValueError(
            f"data.vocabulary must be at least {LEAST} (bytes and special subwords), got {data.vocabulary}"
        )
    if len(model.hidden) != 1:
        raise ValueError(f"model.hidden must be the one width of the feed-forward part, got {model.hidden}")
    if (model.norm, model.activation) != (norm, activation):
        raise ValueError(
            f"the blocks of this model have norm: {norm} and activation: {activation}, got {model.norm!r} and {model.activation!r}"
        )
    return data.vocabulary, data.length

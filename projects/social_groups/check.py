"""Everything that can be wrong in a config, before any work."""

import torch

from projects.social_groups.config import Config
from projects.social_groups.decoder_attention import DESIGNS as ATTENTIONS
from projects.social_groups.model import SocialGroups
from projects.social_groups.queries import DESIGNS as QUERIES


def check(config: Config) -> None:
    """Raises `ValueError` or `TypeError`, with the numbers in the message."""
    model, training, budget, data = config.model, config.training, config.budget, config.data
    for key, value, known in (
        ("model.queries", model.queries, QUERIES),
        ("model.self_attention", model.self_attention, tuple(ATTENTIONS)),
    ):
        if value not in known:
            raise ValueError(f"{key} must be one of {', '.join(known)}, got {value!r}")
    at_least_one = {
        "data.activities": data.activities,
        "data.actions": data.actions,
        "data.members": data.members,
        "data.channels": data.channels,
        "model.groups": model.groups,
        "model.person_queries": model.person_queries,
        "model.levels": model.levels,
        "model.points": model.points,
        "model.decoder_layers": model.decoder_layers,
        "training.batch_size": training.batch_size,
        "budget.epochs": budget.epochs,
        "budget.repeats": budget.repeats,
        "budget.timing_batch": budget.timing_batch,
        "budget.train_scenes": 1 if budget.train_scenes is None else budget.train_scenes,
        "budget.test_scenes": 1 if budget.test_scenes is None else budget.test_scenes,
    }
    for key, number in at_least_one.items():
        if number < 1:
            raise ValueError(f"{key} must be at least 1, got {number}")
    if model.width % 4 or model.width % model.heads:
        raise ValueError(f"4 and heads must divide the width, got width = {model.width} and heads = {model.heads}")
    if not 0 <= model.dropout < 1:
        raise ValueError(f"model.dropout must be at least 0 and below 1, got {model.dropout}")
    if training.learning_rate <= 0 or training.weight_decay < 0 or training.clip_norm <= 0:
        raise ValueError(
            "learning_rate and clip_norm must be positive and weight_decay not negative, got "
            f"{training.learning_rate}, {training.clip_norm} and {training.weight_decay}"
        )
    if len(data.grid) != 2 or min(data.grid) < 2 ** (model.levels - 1):
        raise ValueError(
            f"data.grid must be rows and columns that can be halved {model.levels - 1} times, got {data.grid}"
        )
    with torch.device("meta"):  # builds every layer, so that the library's own checks speak, and allocates nothing
        SocialGroups(data, model)

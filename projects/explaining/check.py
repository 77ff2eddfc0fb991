"""What can be known to be wrong with a config before any work."""

from projects.explaining.config import Config
from projects.explaining.replacements import NAMES
from projects.explaining.synthetic import TASKS
from regard_lab.common.errors import nearest


def check(config: Config) -> None:
    """Raises ValueError, with the numbers in it, for a config that cannot run."""
    data, model, training, analysis = config.data, config.model, config.training, config.analysis
    choices = {
        "data.kind": (data.kind, ("texts", "ratings", "made")),
        "model.name": (model.name, ("encoder", "bert")),
        "model.pooling": (model.pooling, ("attention", "uniform")),
        "model.weights": (model.weights, ("trained", "random")),
        "analysis.attention": (analysis.attention, NAMES),
    }
    if data.kind == "made":
        choices["data.name"] = (data.name, tuple(TASKS))
    for key, (value, known) in choices.items():
        if value not in known:
            raise ValueError(f"{key} must be one of {', '.join(known)}, got {value!r}.{nearest(value, known)}")
    if data.kind == "made" and model.name == "bert":
        raise ValueError(f"the made task {data.name} has no words that a pre-trained model knows; use model=encoder")
    at_least_one = {
        **{f"model.{name}": getattr(model, name) for name in ("width", "heads", "blocks", "key_width", "value_width")},
        **{
            f"training.{name}": getattr(training, name)
            for name in ("epochs", "batch_size", "train_texts", "test_texts")
        },
        **{
            f"analysis.{name}": getattr(analysis, name)
            for name in ("texts", "ranges", "shuffles", "adversaries", "adversary_steps")
        },
        "training.validation_texts": training.validation_texts,
        "analysis.occluded": analysis.occluded,
    }
    for key, number in at_least_one.items():
        if number < 1:
            raise ValueError(f"{key} must be at least 1, got {number}")
    if data.classes < 2 or (data.kept is not None and len(data.kept) != data.classes):
        raise ValueError(f"data.kept must name data.classes = {data.classes} labels, two at least, got {data.kept}")
    if not 4 <= data.length <= 512:
        raise ValueError(f"data.length must be 4 to 512 tokens, got {data.length}")
    if model.vocabulary < 3:
        raise ValueError(f"model.vocabulary must be at least 3 (padding, unknown, one word), got {model.vocabulary}")
    if not 0 <= model.dropout < 1 or training.learning_rate <= 0:
        raise ValueError(
            f"dropout must be in [0, 1) and learning_rate positive, got {model.dropout} and {training.learning_rate}"
        )
    if analysis.texts > training.test_texts:
        raise ValueError(
            f"analysis.texts = {analysis.texts} of training.test_texts = {training.test_texts} cannot be looked at"
        )
    if analysis.length is not None and not 2 <= analysis.length <= data.length:
        raise ValueError(f"analysis.length must be 2 to data.length = {data.length}, got {analysis.length}")

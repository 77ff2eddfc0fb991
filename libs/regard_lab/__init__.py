"""What experiments share: data, training, cells, tables, claims and the report."""

import importlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def load(folder: Path | str, name: str = "") -> Any:
    """The trained model of a run whose weights were kept (`keep=best`), in evaluation mode on the CPU.

    Args:
        folder: The run's folder, which the training command prints.
        name: Which model to return if the run trains several. Default: the first.

    Raises:
        UserError: The folder holds no weights, or no model with that name.
    """
    from regard_lab.experiment.kept_runs import load_model

    return load_model(folder, name)


def score(
    mechanism: Any,
    *,
    scale: str = "quick",
    patterns: Sequence[str] = (),
    anyway: bool = False,
    workers: int | None = None,
    **options: Any,
) -> Any:
    """Certify a mechanism of yours, train CAB's tasks with it, and print its index among those of the mechanisms here.

    What `python -m projects.cab.score` does, for a class at hand: of a file, or of a notebook, whose cells then run one
    after the other in its own process.

    Args:
        mechanism: The class: a subclass of `regard.attention.Attention`, or a `torch.nn.Module` whose `forward(q, k, v)`
            mixes split heads (`regard.loading.as_mechanism`). Or its name, as the command takes it.
        scale: `quick` (mechanics, minutes), `laptop` or `paper`. Default: `quick`.
        patterns: Only these of those that it declares. Default: all.
        anyway: Train even what is not certified? Default: False.
        workers: How many cells at once. Default: one per core.
        options: Of the mechanism.

    Returns:
        The result with its rows of the table `own`; None if nothing was trained.

    Raises:
        UserError: The class cannot be found by name, declares no pattern, or takes no such option.
    """
    given = {"scale": scale, "patterns": patterns, "anyway": anyway, "workers": workers}
    return _project("cab.score", "score_class")(mechanism, **given, **options)


def explain(model: Any, tokenizer: Any, texts: Iterable[str], **settings: Any) -> Any:
    """Every head's explained row of attention on each text, raw and effective.

    Args:
        model: A Hugging Face encoder or decoder whose attention goes through transformers' attention interface.
        tokenizer: Its tokenizer.
        texts: What is read.
        settings: `definition`, `against` and `tokens`, as `projects.explaining.explain.explain` describes them.

    Returns:
        One explanation per text: its words, and for each head the weights and their numbers.

    Raises:
        UserError: The definition is unknown, a text has fewer than two tokens, or the model's attention cannot be observed.
    """
    return _project("explaining.explain", "explain")(model, tokenizer, texts, **settings)


def _project(module: str, name: str) -> Any:
    """A function of a project; the lab does not import projects, but for these two."""
    from regard_lab.common.errors import UserError

    try:
        return getattr(importlib.import_module(f"projects.{module}"), name)
    except ModuleNotFoundError as error:
        if error.name != "projects":
            raise
        raise UserError(f"projects.{module} is not installed: run it in a checkout of the repository") from None

"""What no single key of a config can say: the checks that `projects.smyrf.config` names. Imports no torch."""

from projects.smyrf.config import NONCAUSAL, Analysis, Attention, Config, Gan, Pretrained, Replacement, Speed, Text


def check(config: Config) -> None:
    """Refuse a config whose keys do not fit each other.

    Raises:
        ValueError: With the numbers, before any work.
    """
    _check_attention(config.attention)
    if config.text is not None:
        _check_text(config.text, config.attention)
    if config.gan is not None:
        _check_gan(config.gan, config.attention)
    if config.analysis is not None:
        _check_analysis(config.analysis, config.attention, config.gan)
    if config.pretrained is not None:
        _check_pretrained(config.pretrained, config.attention)
    if config.replacement is not None:
        _check_replacement(config.replacement, config.pretrained, config.attention)
    if config.speed is not None:
        _check_speed(config.speed, config.attention)


def _check_attention(attention: Attention) -> None:
    if attention.hash_rounds is not None and (attention.dedup or attention.hash_rounds < attention.rounds):
        raise ValueError(
            "attention.hash_rounds is a merge of its own, of at least attention.rounds and without dedup; got"
            f" hash_rounds={attention.hash_rounds}, rounds={attention.rounds} and dedup={attention.dedup}"
        )


def _check_text(text: Text, attention: Attention) -> None:
    if text.train_examples is not None and text.training.batch_size > text.train_examples:
        raise ValueError(
            "a batch cannot be larger than the data, got"
            f" text.training.batch_size={text.training.batch_size} and text.train_examples={text.train_examples}"
        )
    for name, task in text.tasks.items():
        if (task.metric == "correlation") != (task.classes == 1):
            raise ValueError(
                f"text.tasks.{name}: ratings (classes 1) go with correlation, got {task.classes} and {task.metric}"
            )
        if task.metric in ("matthews", "accuracy_f1") and task.classes != 2:
            raise ValueError(f"text.tasks.{name}: {task.metric} needs 2 classes, got {task.classes}")
        if task.pairs is not None and (task.classes, task.neutral) != (2, None):
            raise ValueError(
                f"text.tasks.{name}: pairs are of 2 classes, got {task.classes} and neutral={task.neutral}"
            )
        if task.neutral is not None and task.classes != 2:
            raise ValueError(
                f"text.tasks.{name}: neutral ratings are left out for 2 classes, got {task.classes} and neutral={task.neutral}"
            )
    if attention.dedup or attention.hash_rounds is not None:
        raise ValueError(
            "the tables of texts run the paper's own merge, got"
            f" attention.dedup={attention.dedup} and attention.hash_rounds={attention.hash_rounds}"
        )
    if attention.scheme != "asymmetric" and "smyrf" not in (attention.name, text.inference):
        raise ValueError(
            f"no attention here hashes, so that attention.scheme={attention.scheme} decides nothing; got"
            f" attention.name={attention.name} and text.inference={text.inference}"
        )
    if attention.scheme != "asymmetric" and text.training_mask is not None:
        raise ValueError(f"the orders of masks are for the paper's hash, got attention.scheme={attention.scheme}")
    if (text.training_mask is None) != (text.inference_mask is None):
        raise ValueError(
            "text.training_mask and text.inference_mask go together: set both or neither, got"
            f" {text.training_mask} and {text.inference_mask}"
        )


def _check_gan(gan: Gan, attention: Attention) -> None:
    network, training, evaluation = gan.network, gan.training, gan.evaluation
    blocks = len(network.generator) - 1
    if network.image_size != 4 * 2**blocks:
        raise ValueError(
            f"gan.network.generator: {blocks} blocks make pictures of {4 * 2**blocks} pixels,"
            f" got image_size={network.image_size}"
        )
    sides = [8 * 2**block for block in range(blocks)]
    if network.attention_resolution not in sides:
        raise ValueError(f"gan.network.attention_resolution must be one of {sides}, got {network.attention_resolution}")
    channels = network.width * network.generator[sides.index(network.attention_resolution) + 1]
    if channels % 8:
        raise ValueError(
            f"the map that attends must have a multiple of 8 channels, got {channels} with gan.network.width={network.width}"
        )
    if network.hierarchical and network.latent % (blocks + 1):
        raise ValueError(f"gan.network.latent must divide into {blocks + 1} slices, got {network.latent}")
    if training.chunks % training.snapshots:
        raise ValueError(f"gan.training: {training.chunks} chunks do not divide into {training.snapshots} snapshots")
    if training.devices > 1 and training.strategy != "ddp_find_unused_parameters_true":
        raise ValueError(
            "a backward pass reaches one of the two networks, so that gan.training.devices"
            f"={training.devices} needs strategy=ddp_find_unused_parameters_true, got {training.strategy}"
        )
    for where, used in (("attention", attention), ("gan.trained", gan.trained)):
        queries, size = network.attention_resolution**2, used.cluster_size
        if used.name == "smyrf" and (size % 4 or queries % size):
            raise ValueError(
                f"{where}.cluster_size must be a multiple of 4 that divides the {queries:,} queries (a cluster has a quarter"
                f" as many keys), got {size}"
            )
    if unknown := [label for label in evaluation.shown if label >= network.classes]:
        raise ValueError(f"gan.evaluation.shown: there is no class {unknown[0]} among {network.classes}")
    if evaluation.images < 2 * evaluation.batch_size:
        raise ValueError(
            f"gan.evaluation.images must fill two batches of {evaluation.batch_size}, got {evaluation.images}"
        )


def _check_analysis(section: Analysis, attention: Attention, gan: Gan | None) -> None:
    if section.model == "vit" and round((section.tokens - 1) ** 0.5) ** 2 != section.tokens - 1:
        raise ValueError(f"a square picture has a class token and s² patches, got analysis.tokens={section.tokens}")
    if (section.model == "gan") == (gan is None):
        raise ValueError(f"analysis.model=gan needs a section gan, and no other model takes one; got {section.model!r}")
    if gan is not None and section.tokens != gan.network.attention_resolution**2:
        side = gan.network.attention_resolution
        raise ValueError(
            f"the generator attends to a map of {side} × {side} positions, got analysis.tokens={section.tokens}"
        )
    if attention.cluster_size > section.tokens:
        raise ValueError(
            "a cluster holds at most all tokens, got"
            f" attention.cluster_size={attention.cluster_size} and analysis.tokens={section.tokens}"
        )


def _check_pretrained(section: Pretrained, attention: Attention) -> None:
    if section.timed > section.examples:
        raise ValueError(
            f"pretrained.timed must be 1 to pretrained.examples, got {section.timed} of {section.examples} examples"
        )
    if section.classes and not 2 <= section.classes <= section.train_examples:
        raise ValueError(
            f"a probe needs 2 classes and an example of each, got {section.classes} classes and {section.train_examples} examples"
        )
    if attention.name == "smyrf" and attention.cluster_size >= section.tokens:
        raise ValueError(
            f"one cluster of {attention.cluster_size} holds all {section.tokens} tokens: that is dense attention"
        )


def _check_replacement(section: Replacement, pretrained: Pretrained | None, attention: Attention) -> None:
    if pretrained is None:
        raise ValueError("replacement takes the place of a trained model's attention: it needs a section pretrained")
    if attention.name != "softmax":
        raise ValueError(
            f"replacement.method decides what attends, so that attention.name must be softmax, got {attention.name}"
        )
    if section.method in NONCAUSAL and pretrained.classes == 0:
        raise ValueError(
            f"{section.method} sees the future; {pretrained.checkpoint} is a causal language model (pretrained.classes=0)"
        )
    if (section.method in ("softmax", "even")) != (section.share == 1):
        raise ValueError(
            "replacement.share is below 1, and 1 for softmax and even, which have nothing to choose; got"
            f" replacement.method={section.method} and replacement.share={section.share:g}"
        )


def _check_speed(section: Speed, attention: Attention) -> None:
    if section.width % section.heads:
        raise ValueError(
            f"heads must divide the width, got speed.width={section.width} and speed.heads={section.heads}"
        )
    setting = (attention.rounds, attention.cluster_size)
    if attention.name == "smyrf" and section.grid and setting not in section.grid:
        raise ValueError(f"{setting[0]} × {setting[1]} is not in speed.grid, whose settings are timed together")

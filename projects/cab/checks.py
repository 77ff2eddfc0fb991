"""What no single key of a config can say: the checks that `projects.cab.config` names. No torch before a mechanism is named."""

from projects.cab.config import NONE, Config, FastSpeech2, Speech, Sr, TransformerTts

# The sections of models of one width with sines for positions.
TRAINED = ("lstf", "lm", "translation", "mlm", "summary")


def check(config: Config) -> None:
    """What relates several keys, before any work.

    Raises:
        ValueError: Sizes that do not fit each other, with the numbers.
        UnsupportedPattern: The mechanism does not have the pattern under test.
        UnknownMechanism: No mechanism has this name.
    """
    trained = {name: section for name in TRAINED if (section := getattr(config, name)) is not None}
    for name, section in trained.items():
        if section.width % section.heads:
            raise ValueError(f"{name}.heads must divide {name}.width, got {section.heads} and {section.width}")
        if section.width % 2:
            raise ValueError(f"sines and cosines of positions need an even width, got {name}.width={section.width}")
    if config.lstf is not None and (config.lstf.features == "S") != (config.lstf.target is not None):
        raise ValueError(
            f"lstf.target names the one series of features S, got {config.lstf.features} and {config.lstf.target}"
        )
    if config.lstf is not None and config.lstf.label_length > config.lstf.length:
        raise ValueError(
            f"lstf.label_length is a part of lstf.length, got {config.lstf.label_length} and {config.lstf.length}"
        )
    if config.pcc is not None and config.pcc.points < config.pcc.proxies:
        raise ValueError(f"pcc.proxies are chosen from pcc.points, got {config.pcc.proxies} and {config.pcc.points}")
    if config.sr is not None:
        _check_sr(config.sr)
    if config.speech is not None:
        _check_speech(config.speech)
    if config.efficiency is not None and len(set(config.efficiency.lengths)) < 2:
        raise ValueError(f"a crossing needs two lengths, got efficiency.lengths={config.efficiency.lengths}")
    if config.attention.name != NONE:
        from regard.loading import find_class
        from regard.registry import UnsupportedPattern

        cls = find_class(config.attention.name)
        if (trained or config.sr or config.speech) and config.pattern not in cls.patterns:
            known = f"it has {', '.join(cls.patterns)}"
            raise UnsupportedPattern(f"{config.attention.name!r} does not have the pattern {config.pattern!r}; {known}")


def _check_sr(task: Sr) -> None:
    """What relates the sizes of a UNet.

    Raises:
        ValueError: Sizes that do not fit each other, with the numbers.
    """
    sides = [task.high // 2**level for level in range(len(task.multipliers))]
    if task.high % task.low or task.high % 2 ** (len(sides) - 1):
        raise ValueError(f"sr.low and {len(sides) - 1} halvings must divide sr.high, got {task.low} and {task.high}")
    if lost := [side for side in task.attention_at if side not in sides]:
        raise ValueError(f"sr.attention_at has {lost[0]}, but the UNet's resolutions are {', '.join(map(str, sides))}")
    for part in ("groups", "heads"):
        if wrong := [task.width * times for times in task.multipliers if task.width * times % getattr(task, part)]:
            raise ValueError(f"sr.{part} must divide the channels, got {getattr(task, part)} and {wrong[0]}")
    if task.first_noise > task.last_noise:
        raise ValueError(f"sr.first_noise is above sr.last_noise, got {task.first_noise:g} and {task.last_noise:g}")


def _check_speech(task: Speech) -> None:
    """What relates the sizes of models that speak.

    Raises:
        ValueError: Sizes that do not fit each other, with the numbers, or a backbone that is named twice or not at all.
    """
    for name in task.backbones:
        sizes: FastSpeech2 | TransformerTts = getattr(task, name)
        if sizes.width % sizes.heads or sizes.width % 2:
            raise ValueError(
                f"speech.{name}.heads and 2 must divide speech.{name}.width, got {sizes.heads} and {sizes.width}"
            )
    if not task.backbones or len(set(task.backbones)) < len(task.backbones):
        raise ValueError(f"speech.backbones names each backbone once, got {task.backbones}")
    if not task.hop <= task.window:
        raise ValueError(f"speech.hop must not be above speech.window, got {task.hop} and {task.window}")
    if not task.lowest < task.highest <= task.rate / 2:
        raise ValueError(
            f"speech.lowest and speech.highest lie below half of speech.rate, "
            f"got {task.lowest}, {task.highest} and {task.rate}"
        )
    if not task.transformer_tts.frames_per_step <= task.least_frames <= task.most_frames:
        raise ValueError(
            "speech.least_frames lies between the frames of a step and speech.most_frames, "
            f"got {task.least_frames}, {task.transformer_tts.frames_per_step} and {task.most_frames}"
        )

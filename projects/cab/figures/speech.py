"""What the models of the tables of speech say."""

from regard_lab.common.formatting import label
from regard_lab.report.figures import Results, Sounds, scale_words

TABLES = {
    "tts_self": "FastSpeech 2, noncausal self",
    "tts_causal": "Transformer-TTS, causal self",
    "tts_cross": "Transformer-TTS, causal cross",
}


def speech(results: Results) -> Sounds | None:
    """The beginning of an utterance of the test split, spoken by each mechanism's model of seed 0 from its text alone. Griffin-Lim, 8,000 Hz."""
    said, players = "", {}
    for table, model in TABLES.items():
        result = results.best(table)
        for row in result.rows if result is not None else ():
            shown = result.records.get(row.cells[0], {}).get("exhibits", {}) if result is not None and row.cells else {}
            if result is not None and "sound" in shown:
                said = shown["text"]
                players[f"{model}, {label(row.key)} ({scale_words(result)})"] = shown["sound"]
    return Sounds(said, players) if players else None

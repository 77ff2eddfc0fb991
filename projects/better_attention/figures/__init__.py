"""The figures of the report, one file per kind; `FIGURES` has them in its order."""

from projects.better_attention.figures import accuracy, attention_maps, cost_benefit, inference, sequences
from regard_lab.report.figures import Maker

FIGURES: dict[str, Maker] = {
    "should_i_use_it": cost_benefit.should_i_use_it,
    "ablations": accuracy.ablations,
    "controls_text": accuracy.controls_text,
    "controls_vision": accuracy.controls_vision,
    "digit_maps": attention_maps.digit_maps,
    "review_maps": attention_maps.review_maps,
    "imdb_accuracy": accuracy.imdb_accuracy,
    "imdb_training": accuracy.imdb_training,
    "retrieval_accuracy": accuracy.retrieval_accuracy,
    "retrieval_training": accuracy.retrieval_training,
    "mnist_accuracy": accuracy.mnist_accuracy,
    "mnist_training": accuracy.mnist_training,
    "translation_bleu": sequences.translation_bleu,
    "translations": sequences.translations,
    "lm_cache": sequences.lm_cache,
    "inference_speed": inference.inference_speed,
}

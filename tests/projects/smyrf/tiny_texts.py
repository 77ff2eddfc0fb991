"""Configs of the tables on texts, tiny encoders and classifiers with a tokenizer of a dozen words, and batches of made-up ids."""

import functools
from dataclasses import replace
from pathlib import Path

import torch

from projects.smyrf.config import PROJECT
from projects.smyrf.models.text_classifier import Classifier, put
from tests.configs import configs_of

ROOT = Path(__file__).resolve().parents[3]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "film", "the", "a", "very", "plot"]
SIZES = {
    "vocab_size": len(WORDS),
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 16,
    "initializer_range": 0.3,  # attention far from uniform
}


config_of = functools.cache(configs_of(PROJECT, default="table=glue"))


def tiny_encoder(name: str = "bert"):
    import transformers

    torch.manual_seed(7)
    if name == "roberta":
        config = transformers.RobertaConfig(**SIZES, max_position_embeddings=514, type_vocab_size=1, pad_token_id=0)
        return transformers.RobertaModel(config).eval()
    return transformers.BertModel(transformers.BertConfig(**SIZES)).eval()


def tiny_tokenizer(kinds: bool = True):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = ["input_ids", "token_type_ids"] if kinds else ["input_ids"]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", model_input_names=names)


def classifier(attention: str = "softmax", mask: str | None = None, **changes) -> Classifier:
    settings = replace(config_of("table=glue").text.encoder, **{"trained_layers": None, "pool": "first", **changes})
    torch.manual_seed(3)
    model = Classifier(tiny_encoder(), 2, settings).eval()
    model.reseed = put(model.encoder, attention, rounds=2, cluster_size=4, mask=mask)
    return model


def batch(*lengths: int, width: int | None = None):
    """Texts of these lengths, padded to the longest or to `width`."""
    ids = torch.zeros(len(lengths), width or max(lengths), dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, :length] = torch.randint(4, len(WORDS), (length,), generator=torch.Generator().manual_seed(row))
    return ids, torch.zeros_like(ids)

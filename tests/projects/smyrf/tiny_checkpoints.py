"""Checkpoints of a few thousand weights, saved as a user's own would be, with a tokenizer of a dozen words."""

from pathlib import Path
from typing import Any

import torch

WORDS = ["the", "a", "film", "was", "good", "bad", "long", "short", "and", "very"]
SMALL = {
    "vocab_size": 15,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "initializer_range": 0.5,
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def tokenizer(framed: bool) -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: number for number, word in enumerate(SPECIAL + WORDS)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    if framed:
        ends = [("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
        made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]")


def bert(folder: Path) -> Path:
    from transformers import BertConfig, BertModel

    config = BertConfig(**SMALL, intermediate_size=32, max_position_embeddings=64)
    return saved(BertModel(config), folder, tokenizer(framed=True))


def gpt2(folder: Path, head: bool = True) -> Path:
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model

    config = GPT2Config(**SMALL, n_positions=64, bos_token_id=2, eos_token_id=3)
    return saved((GPT2LMHeadModel if head else GPT2Model)(config), folder, tokenizer(framed=False))


def llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(**SMALL | {"num_attention_heads": 4}, intermediate_size=32, num_key_value_heads=2)
    return LlamaForCausalLM(config).eval()


def vit(folder: Path) -> Path:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(**SMALL, intermediate_size=32, image_size=16, patch_size=4)
    return saved(ViTModel(config, add_pooling_layer=False), folder)


def saved(model: Any, folder: Path, reader: Any = None) -> Path:
    torch.manual_seed(0)
    model.init_weights()
    model.save_pretrained(folder)
    if reader is not None:
        reader.save_pretrained(folder)
    return folder


def dinov2(folder: Path) -> Path:
    from transformers import Dinov2Config, Dinov2Model

    return saved(Dinov2Model(Dinov2Config(**SMALL, mlp_ratio=2, image_size=32, patch_size=4)), folder)

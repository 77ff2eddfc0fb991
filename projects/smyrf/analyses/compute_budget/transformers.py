"""Models of transformers, with their published sizes: a forward pass."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from projects.smyrf.analyses.compute_budget.work import attention_flops, cached, counted
from projects.smyrf.config import Attention
from regard_lab.common.errors import UserError

NOTHING = "smyrf-compute-budget"  # the name that transformers knows `nothing` by


def published(checkpoint: str) -> Any:
    """A model that the configs ask the hub for, on the device "meta", with the sizes of its published config and no attention (`nothing`)."""
    import transformers as hf

    hf.AttentionInterface.register(NOTHING, nothing)
    hf.AttentionMaskInterface.register(NOTHING, lambda *positional, **named: None)
    small: dict[str, Any] = {"hidden_size": 384, "intermediate_size": 1536}
    llama: dict[str, Any] = {
        "vocab_size": 49_152,
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": True,
        "use_cache": False,
    }
    roberta: dict[str, Any] = {"vocab_size": 50_265, "max_position_embeddings": 514, "type_vocab_size": 1}
    dinov2: dict[str, Any] = {"hidden_size": 384, "num_attention_heads": 6, "image_size": 518, "patch_size": 14}
    makers: dict[str, Callable[[], Any]] = {
        "bert-base-uncased": lambda: hf.BertModel(hf.BertConfig()),
        "roberta-base": lambda: hf.RobertaModel(hf.RobertaConfig(**roberta)),
        "sentence-transformers/all-MiniLM-L6-v2": lambda: hf.BertModel(hf.BertConfig(num_hidden_layers=6, **small)),
        "facebook/dinov2-small": lambda: hf.Dinov2Model(hf.Dinov2Config(**dinov2)),
        "HuggingFaceTB/SmolLM2-135M-Instruct": lambda: hf.LlamaForCausalLM(hf.LlamaConfig(**llama)),
    }
    if checkpoint not in makers:
        raise UserError(f"the sizes of {checkpoint} are not known here; known are {', '.join(makers)}")
    with torch.device("meta"):
        model = makers[checkpoint]()
    model.set_attn_implementation(NOTHING)
    return model


def nothing(module: nn.Module, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, **others: Any) -> Any:
    """Takes the place of attention: its shape, gradients to all three projections, no products."""
    k, v = (x.repeat_interleave(q.shape[1] // x.shape[1], 1) for x in (k, v))
    return (q + k + v).transpose(1, 2), None


def of_layers(config: Any, tokens: int, attention: Attention, name: str) -> int:
    """The attention of all layers of a model of transformers, forward."""
    heads, d = config.num_attention_heads, config.hidden_size // config.num_attention_heads
    pattern = "causal_self" if config.model_type == "llama" else "noncausal_self"
    layer = attention_flops(name, attention, {"heads": heads, "n": tokens, "m": tokens, "d": d, "e": d}, pattern)
    return int(config.num_hidden_layers * layer)


def body(checkpoint: str, tokens: int) -> tuple[int, Any]:
    """A forward pass over so many tokens (a text's, or a picture's patches and its class token) beside attention, and the model's config."""

    def count() -> tuple[int, Any]:
        model = published(checkpoint)
        ids = torch.ones(1, tokens, dtype=torch.long, device="meta")
        given = {"input_ids": ids, "attention_mask": ids}
        if model.main_input_name == "pixel_values":
            side = math.isqrt(tokens - 1) * model.config.patch_size
            given = {"pixel_values": torch.zeros(1, 3, side, side, device="meta")}
        with torch.no_grad():
            return counted(lambda: model(**given)), model.config

    counts: tuple[int, Any] = cached((checkpoint, tokens), count)
    return counts


def forward(checkpoint: str, tokens: int, attention: Attention, name: str) -> int:
    """The same, with attention."""
    rest, config = body(checkpoint, tokens)
    return rest + of_layers(config, tokens, attention, name)

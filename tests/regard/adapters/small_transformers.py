"""Small models of Hugging Face's classes, their inputs and masks, and the mechanisms that they are run with."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from regard.adapters.huggingface import available
from regard.registry import mechanism_class

transformers = pytest.importorskip("transformers")
ALL = available()
ENCODING = [name for name in ALL if "causal_self" not in mechanism_class(name).patterns]
SMALL = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
N = 12
IDS = torch.randint(1, 60, (2, N), generator=torch.Generator().manual_seed(0))
RIGHT = torch.ones(2, N, dtype=torch.long)
RIGHT[1, 7:] = 0
LEFT = RIGHT.flip(1)


def made(model: str, **options: Any) -> Any:
    torch.manual_seed(0)
    names = {"Bert": "BertModel", "Llama": "LlamaForCausalLM", "Mistral": "MistralForCausalLM"}
    config = getattr(transformers, f"{model}Config")(**{**SMALL, **options})
    return getattr(transformers, names[model])(config).eval()


def bert(**options: Any) -> Any:
    return made("Bert", **options)


def llama(**options: Any) -> Any:
    return made("Llama", num_key_value_heads=2, max_position_embeddings=64, **options)


def gpt2(**options: Any) -> Any:
    torch.manual_seed(0)
    sizes = {"vocab_size": 60, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
    config = transformers.GPT2Config(**sizes, bos_token_id=1, eos_token_id=2, **options)
    return transformers.GPT2LMHeadModel(config).eval()


@torch.no_grad()
def states(model: Any, ids: Tensor = IDS, mask: Tensor | None = None, **given: Any) -> Tensor:
    output = model(ids, attention_mask=mask, **given)
    found: Tensor = output.logits if hasattr(output, "logits") else output.last_hidden_state
    return found


def states_of_dense(model: Any, mask: Tensor) -> Tensor:
    dense = copy.deepcopy(model)
    dense.set_attn_implementation("eager")
    return states(dense, mask=mask)


def swapped(model: Any, name: str = "softmax") -> Any:
    model.set_attn_implementation(f"regard-{name}")
    return model


def close(a: Tensor, b: Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=atol)

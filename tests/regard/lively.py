"""Small models whose attention is peaked and whose weights are all off their starts, so that no fault hides behind uniform weights."""

from typing import Any

import torch
from torch import nn

SIZES = {"vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}


def lively(model: Any) -> Any:
    """The model in evaluation, its weights moved: matrices with a gain of 3, nothing at 0 or 1."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.is_floating_point():
                continue
            drawn = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim > 1:
                parameter.copy_(1.5 * drawn / parameter[0].numel() ** 0.5)
            else:
                parameter.add_(0.3 * drawn)
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.weight.data.mul_(module.weight.shape[1] ** 0.5)
    return model.eval()


def built(name: str, **options: Any) -> Any:
    """A small model of transformers by the name of its config."""
    import transformers

    kind, _, model = name.partition(":")
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**options)
    return lively(getattr(transformers, model or f"{kind}Model")(config))


def seq2seq(**more: Any) -> dict[str, Any]:
    sizes = {
        f"{part}_{what}": size
        for part in ("encoder", "decoder")
        for what, size in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 32))
    }
    return {"vocab_size": 60, "d_model": 32, "max_position_embeddings": 64, **sizes, **more}

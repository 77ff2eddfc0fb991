"""Masks of Hugging Face models: those that are padding and causality are taken, all others and position biases refused; cross-attention."""

from typing import Any

import pytest
import torch
from torch import Tensor

from regard.adapters import huggingface
from regard.registry import UnsupportedPattern
from tests.regard.adapters.small_transformers import (
    IDS,
    LEFT,
    RIGHT,
    N,
    bert,
    close,
    llama,
    made,
    states,
    states_of_dense,
    swapped,
)
from tests.regard.vectors import draw

pytestmark = pytest.mark.usefixtures("registered")
transformers = pytest.importorskip("transformers")


def encoder_decoder() -> Any:
    torch.manual_seed(0)
    sizes = {
        f"{part}_{what}": size
        for part in ("encoder", "decoder")
        for what, size in (("layers", 2), ("attention_heads", 4), ("ffn_dim", 32))
    }
    config = transformers.BartConfig(vocab_size=60, d_model=32, max_position_embeddings=64, **sizes)
    return transformers.BartModel(config).eval()


def test_cross_attention_is_not_taken_for_self_attention() -> None:
    model = encoder_decoder()
    given = {"decoder_input_ids": IDS.flip(1)}  # as long as the source, and not padded where it is
    expected = states(model, mask=RIGHT, **given)
    model.set_attn_implementation("regard-softmax")
    close(states(model, mask=RIGHT, **given), expected)
    huggingface.configure(model.encoder, mechanism="nystrom", layers=[0])
    with pytest.raises(UnsupportedPattern, match="'causal_self'"):  # encoder and decoder share config and numbers
        states(model, mask=RIGHT, **given)

    bert_decoder = bert(is_decoder=True, add_cross_attention=True)
    given = {"encoder_hidden_states": draw(2, N, 32, seed=5, dtype=torch.float32), "encoder_attention_mask": RIGHT}
    expected = states(bert_decoder, mask=LEFT, **given)
    swapped(bert_decoder)
    close(states(bert_decoder, mask=LEFT, **given)[LEFT.bool()], expected[LEFT.bool()])
    crossing = bert_decoder.encoder.layer[0].crossattention.self
    assert huggingface.crosses(crossing)
    assert not huggingface.is_causal_module(crossing, True)
    assert not huggingface.crosses(bert().encoder.layer[0].attention.self)

    module = model.decoder.layers[0].encoder_attn
    model.set_attn_implementation("regard-smyrf")
    del model.config.regard_attention
    q, k, v = (draw(2, 4, N, 8, seed=seed, dtype=torch.float32) for seed in range(3))
    out, _ = huggingface.attention(module, q, k, v, RIGHT.bool())
    assert out[1, 7:].abs().min() > 0  # queries that the source's padding would hide
    assert out.shape == (2, N, 4, 8)


def lower() -> Tensor:
    return torch.ones(2, 1, N, N, dtype=torch.bool).tril()


def band() -> Tensor:
    return lower().triu(-3)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: states(swapped(made("Mistral", num_key_value_heads=2, sliding_window=4))), "more than padding and causality"),
        (lambda: states(swapped(llama()), position_ids=torch.arange(N).expand(2, N) % 6, use_cache=False), "more than padding and causality"),
        (lambda: states(swapped(bert()), output_attentions=True), r"regard\.observe"),
        (lambda: states(swapped(bert()), mask=band()), r"mask \(2, 1, 12, 12\) of torch.bool is not padding:"),
        (lambda: states(swapped(llama()), mask=band()), "is not padding and causality"),
        (lambda: states(swapped(llama()), mask=torch.ones(2, 1, N, N).log()), "is not padding and causality"),
        (lambda: states(swapped(llama()), mask=torch.zeros(2, 1, N, N).masked_fill(~lower(), -1.0)), "is not padding and causality"),
    ],
)  # fmt: skip
def test_masks_that_no_mechanism_takes(run: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run()


def test_position_biases_are_refused() -> None:
    torch.manual_seed(0)
    config = transformers.T5Config(vocab_size=60, d_model=32, d_kv=8, num_layers=1, num_heads=4, d_ff=32)
    model = swapped(transformers.T5EncoderModel(config).eval())
    with pytest.raises(ValueError, match=r"wants a position bias \(position_bias=\)"):
        states(model)


def test_prepared_masks_that_are_padding_and_causality_are_taken() -> None:
    model = swapped(llama())
    expected = states(model, mask=LEFT)[LEFT.bool()]
    seen = lower() & LEFT.bool()[:, None, None]
    close(states(model, mask=seen)[LEFT.bool()], expected)
    lowest = torch.finfo(torch.float32).min
    close(states(model, mask=torch.zeros(2, 1, N, N).masked_fill(~seen, lowest))[LEFT.bool()], expected)
    encoder = swapped(bert())
    expected = states(encoder, mask=RIGHT)
    close(states(encoder, mask=RIGHT.bool()[:, None, None].expand(2, 1, N, N))[RIGHT.bool()], expected[RIGHT.bool()])


def test_the_mask_function() -> None:
    from transformers.masking_utils import bidirectional_mask_function, causal_mask_function

    sizes = {"batch_size": 2, "q_length": 3, "kv_length": 5}
    mask = torch.tensor([[0, 1, 1, 1], [1, 1, 1, 1]])
    kept = huggingface.padding_mask(**sizes, q_offset=2, mask_function=causal_mask_function, attention_mask=mask)
    assert kept is not None
    assert kept.dtype == torch.bool
    assert kept.tolist() == [[False, True, True, True, False], [True] * 4 + [False]]
    assert huggingface.padding_mask(**sizes, mask_function=bidirectional_mask_function) is None
    assert (
        huggingface.padding_mask(2, 5, 5, mask_function=causal_mask_function, attention_mask=torch.ones(2, 5)) is None
    )
    with pytest.raises(ValueError, match="3 queries so far and 5 keys"):
        huggingface.padding_mask(**sizes, mask_function=causal_mask_function)

    def own(*place: int) -> bool:
        return True

    with pytest.raises(ValueError, match=r"more than padding and causality .*own"):
        huggingface.padding_mask(**sizes, mask_function=own)


def test_a_decoder_without_causality() -> None:
    model = llama()
    model.config.is_causal = False
    expected = states_of_dense(model, LEFT)
    model.set_attn_implementation("regard-softmax")
    close(states(model, mask=LEFT)[LEFT.bool()], expected[LEFT.bool()])
    assert not torch.allclose(states(model)[:, 0], states(llama())[:, 0])

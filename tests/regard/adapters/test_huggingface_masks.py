"""Masks of Hugging Face models: causality, padding, windows and packed sequences as the mask says; biases; cross attention."""

from typing import Any

import pytest
import torch
from torch import Tensor

from regard.adapters import huggingface
from regard.adapters.masks import Asked, read_mask
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
    del model.config.regard_attention

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
    q, k, v = (draw(2, 4, N, 8, seed=seed, dtype=torch.float32) for seed in range(3))
    model.config._attn_implementation_internal = "regard-smyrf"
    with pytest.raises(UnsupportedPattern, match=r"'causal_cross'.*later ones would change earlier ones"):
        huggingface.attention(module, q, k, v, RIGHT.bool())
    model.config._attn_implementation_internal = "regard-performer"
    out, _ = huggingface.attention(module, q, k, v, RIGHT.bool())
    assert out[1, 7:].abs().min() > 0  # queries that the source's padding would hide
    assert out.shape == (2, N, 4, 8)


def lower() -> Tensor:
    return torch.ones(2, 1, N, N, dtype=torch.bool).tril()


def band() -> Tensor:
    return lower().triu(-3)


def packed() -> Tensor:
    return torch.arange(N).expand(2, N) % 6


def mistral(**options: Any) -> Any:
    return made("Mistral", num_key_value_heads=2, **options)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (lambda: states(swapped(mistral(sliding_window=4), "smyrf")), r"a sliding window \(its keys 3 before, of 40\), which"),
        (lambda: states(swapped(bert(), "nystrom"), output_attentions=True), "'nystrom' is not a weighted mean of values"),
        (lambda: states(swapped(bert(), "smyrf"), mask=band()), "a sliding window|causal_self"),
        (lambda: states(swapped(llama(), "smyrf"), mask=torch.ones(2, 1, N, N).log() - 1), "a bias of the scores"),
        (lambda: states(swapped(llama(), "smyrf"), mask=torch.zeros(2, 1, N, N).masked_fill(~lower(), -1.0)), "a bias of the scores"),
        (lambda: states(swapped(llama(), "smyrf"), mask=lower().flip(2)), "is not padding, causality or a window"),
    ],
)  # fmt: skip
def test_masks_that_no_mechanism_takes(run: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run()


def test_what_a_mask_says() -> None:
    """Read from its values, boolean and to add, with padding on either side."""
    seen = lower() & LEFT.bool()[:, None, None]
    lowest = torch.finfo(torch.float32).min
    for mask in (
        seen,
        torch.zeros(2, 1, N, N).masked_fill(~seen, lowest),
        torch.zeros(2, 1, N, N).masked_fill(~seen, -torch.inf),
    ):
        asked = read_mask(mask, 2, N, N, offset=0)
        assert (asked.causal, asked.window, asked.other) == (True, None, "")
        assert asked.key_mask is not None
        assert torch.equal(asked.key_mask, LEFT.bool())
    assert read_mask(band(), 2, N, N, offset=0).window == (3, 0)
    assert read_mask(band(), 2, N, N, offset=0).causal
    both = torch.ones(1, 1, N, N, dtype=torch.bool).tril(2).triu(-2)
    assert read_mask(both, 2, N, N, offset=0) == Asked(window=(2, 2))
    assert read_mask(both.expand(1, 4, N, N), 2, N, N, offset=0) == Asked(window=(2, 2))
    assert read_mask(torch.ones(2, 1, 1, N, dtype=torch.bool), 2, 1, N, offset=N - 1, causal=True) == Asked(causal=True)
    assert read_mask(torch.ones(2, 1, 1, N, dtype=torch.bool), 2, N, N, offset=0) == Asked()
    per_head = torch.stack((lower()[0, 0], lower()[0, 0].T))[None]
    assert "each head" in read_mask(per_head, 1, N, N, offset=0).other


@pytest.mark.parametrize("name", ["softmax", "local"])
@pytest.mark.parametrize("mask", [None, LEFT, RIGHT])
@pytest.mark.parametrize("window", [4, 64])
def test_sliding_windows(name: str, mask: Tensor | None, window: int) -> None:
    """Mistral's window is causal local attention; one that hides nothing is none, for every mechanism."""
    model = mistral(sliding_window=window)
    rows = torch.ones_like(RIGHT).bool() if mask is None else mask.bool()
    expected = states(model, mask=mask)[rows]
    swapped(model, name)
    if name == "local":
        huggingface.configure(model, window=64)
    close(states(model, mask=mask)[rows], expected)
    given = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None, "attention_mask": LEFT}
    assert torch.equal(model.generate(IDS, **given), model.generate(IDS, use_cache=False, **given))
    model.set_attn_implementation("sdpa")
    expected = model.generate(IDS, **given)
    assert torch.equal(swapped(model, name).generate(IDS, **given), expected)
    if window == 64:
        swapped(model, "smyrf")
        huggingface.configure(model, cluster_size=64)
        close(states(model, mask=mask)[rows], states(swapped(model), mask=mask)[rows])


@pytest.mark.parametrize("name", ["softmax", "smyrf", "local", "performer"])
def test_packed_sequences_are_their_own_runs(name: str) -> None:
    model = swapped(llama(), name)
    if name == "smyrf":
        huggingface.configure(model, cluster_size=2)
    given: dict[str, Any] = {"position_ids": packed(), "use_cache": False}
    out = states(model, **given)
    if name == "softmax":
        model.set_attn_implementation("sdpa")
        close(out, states(model, **given))
        return
    close(out[:, :6], states(model, IDS[:, :6]))
    close(out[:, 6:], states(model, IDS[:, 6:]))


def test_position_biases_are_softmaxs_alone() -> None:
    torch.manual_seed(0)
    config = transformers.T5Config(vocab_size=60, d_model=32, d_kv=8, num_layers=1, num_heads=4, d_ff=32)
    model = transformers.T5EncoderModel(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    expected = states(model, mask=RIGHT)
    close(states(swapped(model), mask=RIGHT)[RIGHT.bool()], expected[RIGHT.bool()], atol=1e-4)
    with pytest.raises(ValueError, match=r"asks for a position bias \(position_bias=\), which 'smyrf' does not have"):
        states(swapped(model, "smyrf"))


def test_attentions_are_given_where_there_are_weights() -> None:
    model = bert()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        expected = model(IDS, attention_mask=RIGHT, output_attentions=True).attentions
        for name, options in (("softmax", {}), ("smyrf", {"cluster_size": N}), ("local", {"window": N})):
            swapped(model, name)
            huggingface.configure(model, **options)
            found = model(IDS, attention_mask=RIGHT, output_attentions=True).attentions
            assert len(found) == len(expected)
            for a, b in zip(found, expected, strict=True):
                close(a.transpose(1, 2)[RIGHT.bool()], b.transpose(1, 2)[RIGHT.bool()])


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

"""Swapped models on inputs nobody wrote a test for: decoders with cross attention, caches, two towers, packed and padded rows.

Right: softmax is the model's own attention; the future of a causal sequence and what stands in padding change no kept
row; a padded row is its run alone; a sequence decoded in pieces is the sequence decoded at once. Otherwise one clear
error.
"""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from regard.adapters import huggingface
from regard.registry import UnsupportedPattern, mechanism_class
from tests.regard.lively import SIZES, built, seq2seq

pytestmark = pytest.mark.usefixtures("registered")
transformers = pytest.importorskip("transformers")

quick = settings(deadline=None, derandomize=True, max_examples=4, database=None)
ALL = huggingface.available()
GQA = {**SIZES, "num_key_value_heads": 2, "max_position_embeddings": 64}
TEXT = {**SIZES, "projection_dim": 32, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2}
VISION = {**SIZES, "image_size": 24, "patch_size": 4}
SMALL: dict[str, dict[str, Any]] = {
    "smyrf": {"cluster_size": 3},
    "local": {"window": 3},
    "nystrom": {"landmarks": 3},
    "lara": {"landmarks": 3},
    "hyper": {"block_size": 3, "sample_size": 2},
    "kde": {"block_size": 3, "sample_size": 2},
    "probsparse": {"factor": 1},
    "scatterbrain": {"window": 3},
}
_models: dict[str, Any] = {}


def model_of(kind: str) -> Any:
    """A lively model, built once; what it runs is set anew by each test."""
    makers = {
        "bart": lambda: built("Bart", **seq2seq()),
        "llama": lambda: built("Llama", **GQA),
        "mistral": lambda: built("Mistral", **GQA, sliding_window=5),
        "clip": lambda: built("CLIP", text_config=TEXT, vision_config=VISION, projection_dim=32),
    }
    if kind not in _models:
        _models[kind] = makers[kind]()
    return _models[kind]


def run(model: Any, name: str) -> Any:
    model.set_attn_implementation(f"regard-{name}")
    huggingface.configure(model, **SMALL.get(name, {}))
    return model


def ids(data: st.DataObject, b: int, n: int) -> Tensor:
    return torch.randint(3, 59, (b, n), generator=torch.Generator().manual_seed(data.draw(st.integers(0, 99))))


def padding(data: st.DataObject, b: int, n: int) -> Tensor:
    """One side padded in each row, at least one token kept."""
    mask = torch.ones(b, n, dtype=torch.long)
    for row in range(b):
        dropped, left = data.draw(st.integers(0, n - 1)), data.draw(st.booleans())
        mask[row, slice(0, dropped) if left else slice(n - dropped, n)] = 0
    return mask


def near(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=2e-4 * max(1.0, float(b.abs().max())) if b.numel() else 0)


@pytest.mark.parametrize("name", ALL)
@quick
@given(st.data())
@torch.no_grad()
def test_decoders_with_cross_attention(name: str, data: st.DataObject) -> None:
    b, n, m = data.draw(st.integers(1, 3)), data.draw(st.integers(2, 14)), data.draw(st.integers(2, 14))
    source, target, mask = ids(data, b, m), ids(data, b, n), padding(data, b, m)
    model = model_of("bart")
    model.set_attn_implementation("eager")
    given_ = {"input_ids": source, "attention_mask": mask, "use_cache": False}
    expected = model(**given_, decoder_input_ids=target).last_hidden_state
    cut = data.draw(st.integers(1, n - 1))
    later = target.clone()
    later[:, cut:] = 62 - target[:, cut:]
    patterns = mechanism_class(name).patterns
    if not {"causal_self", "causal_cross"} <= set(patterns):
        with pytest.raises(UnsupportedPattern, match=r"for the pattern 'causal_(self|cross)'"):
            run(model, name)(**given_, decoder_input_ids=target)
        return
    out = run(model, name)(**given_, decoder_input_ids=target).last_hidden_state
    assert out.isfinite().all()
    assert torch.equal(out[:, :cut], model(**given_, decoder_input_ids=later).last_hidden_state[:, :cut])
    dirty = {**given_, "input_ids": torch.where(mask.bool(), source, 62 - source)}
    assert torch.equal(out, model(**dirty, decoder_input_ids=target).last_hidden_state)
    if name == "softmax":
        near(out, expected)


@pytest.mark.parametrize("kind", ["llama", "mistral"])
@pytest.mark.parametrize("name", ALL)
@quick
@given(st.data())
@torch.no_grad()
def test_pieces_are_the_whole(name: str, kind: str, data: st.DataObject) -> None:
    """Cached decoding in pieces of any length, rows padded on the left, windows of 5 in Mistral."""
    b, n = data.draw(st.integers(1, 3)), data.draw(st.integers(2, 14))
    tokens, model = ids(data, b, n), model_of(kind)
    mask = torch.ones(b, n, dtype=torch.long)
    for row in range(1, b):
        mask[row, : data.draw(st.integers(0, n - 1))] = 0
    model.set_attn_implementation("sdpa")
    # As `generate` has it: a rotation by places shifted from those of the run alone changes what is no product of q and k.
    places = (mask.cumsum(1) - 1).clamp(min=0)
    expected = model(tokens, attention_mask=mask, position_ids=places).last_hidden_state[mask.bool()]
    hidden = kind == "mistral"  # the proof's example is longer than the window
    cls = mechanism_class(name)
    if "causal_self" not in cls.patterns or (hidden and "window" not in cls.function_takes):
        with pytest.raises(ValueError, match=r"for the pattern 'causal_self'|a sliding window"):
            run(model, name)(tokens, attention_mask=mask)
        return
    whole = run(model, name)(tokens, attention_mask=mask, position_ids=places, use_cache=False).last_hidden_state
    if name == "softmax" or (name == "local" and n <= 3):
        near(whole[mask.bool()], expected)
    row = data.draw(st.integers(0, b - 1))
    alone = model(tokens[row : row + 1, mask[row].bool()], use_cache=False).last_hidden_state[0]
    near(whole[row, mask[row].bool()], alone)
    past, rows, place = None, [], 0
    while place < n:
        step = data.draw(st.integers(1, n - place))
        given_ = {"attention_mask": mask[:, : place + step], "past_key_values": past, "use_cache": True}
        given_["position_ids"] = places[:, place : place + step]
        if not cls.stepwise and place:
            with pytest.raises(ValueError, match="cannot continue from a cache"):
                model(tokens[:, place : place + step], **given_)
            return
        out = model(tokens[:, place : place + step], **given_)
        past, place = out.past_key_values, place + step
        rows.append(out.last_hidden_state)
    near(torch.cat(rows, 1)[mask.bool()], whole[mask.bool()])


@pytest.mark.parametrize("name", ALL)
@quick
@given(st.data())
@torch.no_grad()
def test_two_towers(name: str, data: st.DataObject) -> None:
    """A mechanism in one tower leaves the other, wherever it is set from; padding of the text changes no kept token."""
    b, n, layer = data.draw(st.integers(1, 3)), data.draw(st.integers(2, 14)), data.draw(st.integers(0, 1))
    tokens, mask = ids(data, b, n), padding(data, b, n)
    mask = mask.sort(1, descending=True).values  # CLIP's position of the end of text wants it on the right
    picture = torch.randn(b, 3, 24, 24, generator=torch.Generator().manual_seed(1))
    model = model_of("clip")
    for part in (model.text_model, model.vision_model):
        part.config.__dict__.pop("regard_attention", None)
    model.set_attn_implementation("regard-softmax")

    def states() -> tuple[Tensor, Tensor]:
        out = model(input_ids=tokens, attention_mask=mask, pixel_values=picture)
        return out.text_model_output.last_hidden_state, out.vision_model_output.last_hidden_state

    text, vision = states()
    huggingface.configure(model.vision_model, mechanism=name, layers=[layer], **SMALL.get(name, {}))
    swapped = states()
    assert torch.equal(swapped[0], text)
    assert swapped[1].isfinite().all()
    assert name == "softmax" or not torch.equal(swapped[1], vision)
    model.vision_model.config.__dict__.pop("regard_attention")
    if "causal_self" not in mechanism_class(name).patterns:
        return
    huggingface.configure(model.text_model, mechanism=name, layers=[layer], **SMALL.get(name, {}))
    after = states()
    assert torch.equal(after[1], vision)
    kept = mask.bool()
    dirty = torch.where(kept, tokens, 62 - tokens)
    out = model(input_ids=dirty, attention_mask=mask, pixel_values=picture).text_model_output.last_hidden_state
    assert torch.equal(out[kept], after[0][kept])
    model.text_model.config.__dict__.pop("regard_attention")


@pytest.mark.parametrize("name", sorted(set(ALL) & {"softmax", "smyrf", "local", "performer", "cosformer"}))
@quick
@given(st.data())
@torch.no_grad()
def test_packed_rows_are_their_own_runs(name: str, data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 7), min_size=1, max_size=4))
    n = sum(lengths)
    tokens = ids(data, 1, n)
    places = torch.cat([torch.arange(length) for length in lengths])[None]
    model = run(model_of("llama"), name)
    out = model(tokens, position_ids=places, use_cache=False).last_hidden_state[0]
    first = 0
    for length in lengths:
        alone = model(tokens[:, first : first + length], use_cache=False).last_hidden_state[0]
        near(out[first : first + length], alone)
        first += length
